"""Rewards written in Python, computed by several processes."""

import contextlib
import functools
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import NamedTuple, cast

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.shared import checks

_PARTS = 4  # of a batch for each process, so that none waits long


class RewardProcesses:
    """Compute rewards that define `score` in processes of their own.

        with RewardProcesses(4) as processes, reward.scored_by(processes):
            rewards = reward(examples, responses, rollout)

    A trainer does so by itself, see `TrainerOptions`. The numbers and the
    errors are those of one process, whatever the count. Rewards of tensors
    (`kl`) and those that score many answers at once (`similarity`) stay where
    they are. The processes start with the first reward that needs them,
    import what that reward imports, and end with the block. A script that
    uses them must not run when it is imported: put it below
    `if __name__ == "__main__":`.

    Args:
        count: of processes; 0 computes everything here.
        seconds: how long they may be silent before they are given up; 0 is
            without end. Needs a process, for what hangs must be killed.

    Raises:
        TokenRLError: the count is negative.
    """

    def __init__(self, count: int, seconds: float = 0.0):
        if count < 0:
            raise TokenRLError(
                f"reward_processes must be 0 or more, not {count}."
            )
        self.count = count
        self.seconds = seconds
        self._workers: dict[Connection, multiprocessing.process.BaseProcess]
        self._workers = {}

    def __enter__(self) -> "RewardProcesses":
        return self

    def __exit__(self, *error) -> None:
        self._stop()

    def __call__(
        self,
        reward: Reward,
        examples: Sequence[Example],
        responses: Sequence[Response],
    ) -> Sequence[float | Sequence[float]]:
        """What `reward.score_batch(examples, responses)` gives.

        Raises:
            TokenRLError: the reward cannot be sent to a process, fails on an
                example, or a process ended.
        """
        own = type(reward).score_batch is not Reward.score_batch
        if own or not self.count:
            return checks.named(reward, reward.score_batch, examples, responses)
        payload = _pickled(reward)
        size = -(-len(examples) // (self.count * _PARTS)) or 1
        starts = range(0, len(examples), size)
        tasks = [
            _Task(payload, examples[i : i + size], responses[i : i + size])
            for i in starts
        ]
        try:
            self._start()
            answers = self._answers(tasks)
        except BaseException:  # Ctrl-C too: an answer may be on its way
            self._stop()
            raise
        for answer in answers:
            if isinstance(answer, TokenRLError):
                raise answer
        return [score for answer in answers for score in answer]

    def _start(self) -> None:
        if self._workers:
            return
        context = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # its own start unblocks Ctrl-C
        with _without_interrupts():
            for number in range(self.count):
                here, there = context.Pipe()
                process = context.Process(
                    target=_serve,
                    args=(there,),
                    name=f"reward-{number}",
                    daemon=True,
                )
                process.start()
                there.close()
                self._workers[here] = process

    def _stop(self) -> None:
        for connection, process in self._workers.items():
            process.kill()
            process.join()
            process.close()
            connection.close()
        self._workers = {}

    def _answers(self, tasks: "list[_Task]") -> list:
        """The scores of each task, or the error that it ended with."""
        answers: list = [None] * len(tasks)
        waiting = list(enumerate(tasks))[::-1]
        idle, busy = list(self._workers), dict[Connection, int]()
        while waiting or busy:
            while waiting and idle:
                connection = idle.pop()
                number, task = waiting.pop()
                busy[connection] = number
                with self._alive(connection):
                    connection.send(task)
            found = wait(list(busy), self.seconds or None)
            if not found:
                raise TokenRLError(
                    f"No reward came from {len(busy)} processes for "
                    f"{self.seconds:g} seconds: look for what hangs in it, or "
                    "raise reward_seconds."
                )
            for ready in found:
                connection = cast(Connection, ready)
                with self._alive(connection):
                    answers[busy.pop(connection)] = connection.recv()
                idle.append(connection)
        return answers

    @contextlib.contextmanager
    def _alive(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError) as error:
            process = self._workers[connection]
            process.join()
            code = process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else "ended"
            raise TokenRLError(
                f"A process that computes rewards {how}: see what it printed, "
                "look for a lack of memory, or set reward_processes to 0."
            ) from error


class _Task(NamedTuple):
    """Some rows, and the reward as bytes."""

    reward: bytes
    examples: Sequence[Example]
    responses: Sequence[Response]


def _pickled(reward: Reward) -> bytes:
    try:
        return pickle.dumps(reward)
    except Exception as error:
        raise TokenRLError(
            f"Reward {reward!r} cannot be sent to a process ({error}): define "
            "it at the top of a module, or set reward_processes to 0."
        ) from error


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes that start here never see Ctrl-C; this one sees it later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# In the process.


def _serve(connection: Connection) -> None:
    """Answer tasks until the other side is gone."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(_answer(connection.recv()))


def _answer(task: _Task) -> list[np.ndarray] | TokenRLError:
    try:
        reward = _unpickled(task.reward)
        scores = reward.score_batch(task.examples, task.responses)
        rows = zip(scores, task.examples, strict=True)
        return [checks.numbers(reward, *row) for row in rows]
    except TokenRLError as error:
        return _told(f"{error}")
    except Exception as error:
        return _told(
            f"A reward cannot be built in a process of its own: {error}; set "
            "reward_processes to 0."
        )


def _told(message: str) -> TokenRLError:
    """An error that can travel, with the story of the one at hand."""
    error = TokenRLError(message)
    error.add_note(traceback.format_exc())
    return error


@functools.lru_cache(16)
def _unpickled(payload: bytes) -> Reward:
    return pickle.loads(payload)  # written by `_pickled`, read from a pipe
