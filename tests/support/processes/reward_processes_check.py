"""Rewards for test_reward_processes.py, which processes import."""

import os
import signal
import sys
import threading

from tf_tokenrl.rewards import Reward


class Pid(Reward):
    def score(self, example, response):
        return float(os.getpid() % 1_000_000)


class HasTensorflow(Reward):
    def score(self, example, response):
        return float("tensorflow" in sys.modules)


class Fails(Reward):
    """Fails on the examples whose prompt is among these."""

    def __init__(self, prompts=()):
        self.prompts = tuple(prompts)

    def score(self, example, response):
        if example.prompt in self.prompts:
            raise KeyError(example.prompt)
        return 0.5


class Dies(Reward):
    def score(self, example, response):
        os.kill(os.getpid(), signal.SIGKILL)


class Presses(Reward):
    """Presses Ctrl-C as a terminal does: for all processes of the group."""

    def score(self, example, response):
        os.kill(os.getpid(), signal.SIGINT)
        return 1.0


class Unreadable(Reward):
    def __reduce__(self):
        return int, ("x",)


class Hangs(Reward):
    """Never answers."""

    def score(self, example, response):
        threading.Event().wait()
