"""One step after another, with callbacks, until enough are finished.

The loop of every trainer: of `Trainer`, which learns from rewards, and of
`Learner`, which learns from data that exists.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.runtime.strategies import lost_workers
from tf_tokenrl.training.interrupt import deferred_interrupt

_VALIDATION = "validation/"
Logs = dict[str, float]


def run(
    trainer,
    take: Callable[[int], Logs],
    steps: int,
    steps_per_epoch: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> list[Logs]:
    """Take steps until `steps` are finished, those of before included.

    Callbacks are Keras': `on_train_batch_end(step, logs)` follows each step,
    with the number of the step in the whole run, and `on_epoch_end(epoch,
    logs)` each pass over the data, with the means of the epoch's logs; a log
    "validation/nll" is called "val_nll" there, as by `fit`.
    `policy.stop_training = True` ends the loop.

    Args:
        trainer: has `policy`, `optimizer`, `strategy` and `finished_steps`.
        take: takes the step of a given number; returns its logs.
        steps: total number of steps.
        steps_per_epoch: steps of one pass over the data.
        callbacks: called in this order.

    Returns:
        The logs of the steps taken.

    Raises:
        TokenRLError: a worker was lost.
        KeyboardInterrupt: Ctrl-C; the step it fell into was finished and
            `on_train_end` called. A second one does not wait.
        Exception: what `take` raises. Where no weight had moved in that step,
            `on_train_end` was called before, so that the steps before it are
            kept.
    """
    policy = trainer.policy
    driven = keras.callbacks.CallbackList(
        list(callbacks),
        model=policy,
        steps=steps,
        first_step=trainer.finished_steps,
        epochs=math.ceil(steps / steps_per_epoch),
    )
    history: list[Logs] = []

    def stop():
        policy.stop_training = True

    policy.stop_training = False
    guards = lost_workers(trainer.strategy), deferred_interrupt(stop)
    with guards[0], guards[1], _optimizer_in_sight(trainer):
        driven.on_train_begin()
        begun = trainer.finished_steps
        while trainer.finished_steps < steps and not policy.stop_training:
            step = trainer.finished_steps
            epoch, place = divmod(step, steps_per_epoch)
            if not place or step == begun:
                driven.on_epoch_begin(epoch)
            driven.on_train_batch_begin(step)
            logs = _taken(trainer, take, step, driven)
            trainer.finished_steps = step + 1
            driven.on_train_batch_end(step, logs)
            history.append(logs)
            ended = step + 1 == steps or policy.stop_training
            if place + 1 == steps_per_epoch or ended:
                driven.on_epoch_end(epoch, _means(history[-place - 1 :]))
        driven.on_train_end()
    return history


def digest(examples: Sequence[Example]) -> str:
    """A fingerprint of the content of data, wherever it was read from."""
    found = hashlib.sha256()
    for example in examples:
        found.update(repr(tuple(example)).encode("utf-8", "backslashreplace"))
    return found.hexdigest()[:16]


def _taken(trainer, take: Callable[[int], Logs], step: int, driven) -> Logs:
    before = _updates(trainer)
    try:
        return take(step)
    except Exception:
        if _updates(trainer) == before:
            # What failed is told; that it cannot be saved either is not.
            with contextlib.suppress(TokenRLError):
                driven.on_train_end()
        raise


def _updates(trainer) -> int:
    # Under a strategy the variable has a copy on each replica.
    return int(keras.ops.convert_to_numpy(trainer.optimizer.iterations))


@contextlib.contextmanager
def _optimizer_in_sight(trainer) -> Iterator[None]:
    """`policy.optimizer`, which Keras' callbacks read and set the rate of.

    Keras would track an attribute that is set in the usual way, and save the
    optimizer with the policy.
    """
    policy = trainer.policy
    object.__setattr__(policy, "optimizer", trainer.optimizer)
    try:
        yield
    finally:
        policy.__dict__.pop("optimizer", None)


def _means(history: Sequence[Logs]) -> Logs:
    """The mean of each log over an epoch; of validations the last."""
    names = dict.fromkeys(name for logs in history for name in logs)
    means: Logs = {}
    for name in names:
        values = [logs[name] for logs in history if name in logs]
        if name.startswith(_VALIDATION):
            means["val_" + name.removeprefix(_VALIDATION)] = values[-1]
        else:
            means[name] = float(np.mean(values))
    return means
