"""A tiny run: a few prompts, one token to count, and a trainer."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import keras

from tests.support import tiny
from tf_tokenrl import algorithms
from tf_tokenrl.callbacks import CsvLog, EarlyStopping
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.flow import Example
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.rewards import Reward
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.trainer import Trainer
from tf_tokenrl.training.updates.adam import Adam

EXAMPLES = [
    Example(prompt, (prompt,), f"row-{index}")
    for index, prompt in enumerate(
        [
            "the name",
            "open a given file",
            "return",
            "the number of a list",
            "value or name",
            "a file",
            "list the given value",
            "open the list",
        ]
    )
]


class Count(Reward):
    """`worth` for each occurrence of one token, on the token itself."""

    def __init__(self, token: int = 5, worth: float = 1.0):
        self.token = token
        self.worth = worth

    def score(self, example, response):
        return [self.worth * (i == self.token) for i in response.token_ids]


class CtrlC(Count):
    """Presses Ctrl-C when it is called for the n-th time, n from CTRL_C_AT."""

    calls = 0

    def __call__(self, examples, responses, rollout):
        CtrlC.calls += 1
        if CtrlC.calls == int(os.environ.get("CTRL_C_AT", "0")):
            signal.raise_signal(signal.SIGINT)
        return super().__call__(examples, responses, rollout)


class Odd(Reward):
    """A point for odd tokens."""

    def score(self, example, response):
        return [float(i % 2) for i in response.token_ids]


class Kill9(Odd):
    """Kills worker 1 when it is called for the n-th time, n from KILL_AT."""

    calls = 0

    def __call__(self, examples, responses, rollout):
        Kill9.calls += 1
        worker = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {})
        at = int(os.environ.get("KILL_AT", "0"))
        if worker.get("index") == 1 and Kill9.calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(examples, responses, rollout)


class Burst(Odd):
    """The same, and far too much at the third call."""

    calls = 0

    def __call__(self, examples, responses, rollout):
        Burst.calls += 1
        return super().__call__(examples, responses, rollout)

    def score(self, example, response):
        point = 1e30 if Burst.calls == 3 else 1.0
        return [point * x for x in super().score(example, response)]


class Recorder(Reward):
    """Rewards as before, and keeps what was rewarded."""

    def __init__(self, trainer):
        self.reward = trainer.reward
        self.examples, self.responses, self.rollouts = [], [], []
        trainer.scorer.reward = self

    def __call__(self, examples, responses, rollout):
        self.examples.append(examples)
        self.responses.append(responses)
        self.rollouts.append(rollout)
        return self.reward(examples, responses, rollout)


def trainer(
    name: str = "gpt2",
    algorithm: str = "ppo",
    learning_rate=1e-2,
    options: dict | None = None,
    policy: Policy | dict | None = None,
    **settings,
):
    """A trainer over a fresh tiny policy, in the current strategy's scope.

    `settings` are arguments of `Trainer` and of `TrainerOptions`.
    """
    if isinstance(policy, Policy):
        made = policy
    else:
        made = tiny.policy(name, **(policy or {}))
    settings.setdefault("reference", made.frozen_copy())
    settings.setdefault("reward", Count())
    if isinstance(algorithm, str):
        algorithm = algorithms.get(algorithm, **(options or {}))
    adam = Adam(learning_rate, epsilon=1e-5)
    settings.setdefault("optimizer", adam)
    names = {field.name for field in dataclasses.fields(TrainerOptions)}
    chosen = {k: settings.pop(k) for k in names & settings.keys()}
    return Trainer(
        made,
        algorithm=algorithm,
        options=TrainerOptions(**chosen),
        **settings,
    )


class Announce(keras.callbacks.Callback):
    """Says aloud how many steps are finished."""

    def on_train_batch_end(self, batch, logs=None):
        print(batch + 1, flush=True)


def checkpointed(folder, **settings):
    """A trainer, its checkpoints every 5 steps, and all that watches it."""
    made = trainer(
        learning_rate=keras.optimizers.schedules.PolynomialDecay(1e-2, 20, 0),
        options={"epochs": 2},
        **settings,
    )
    stopping = EarlyStopping("reward", patience=50, window=3)
    checkpoint = Checkpoint(
        made, folder / "checkpoints", every=5, remembered=[stopping]
    )
    log = CsvLog(folder / "log.csv")
    return made, checkpoint, [Announce(), log, stopping, checkpoint]


def resume(folder: str, steps: int):
    """Goes on from the newest checkpoint, if there is one."""
    folder = Path(folder)
    made, checkpoint, callbacks = checkpointed(folder)
    checkpoint.restore()
    made.fit(EXAMPLES, steps, batch_size=8, callbacks=callbacks)
