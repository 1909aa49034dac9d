"""Run by test_kills.py: a run of 20 steps that kills itself somewhere.

Reads lines `FOLDER ALGORITHM [STEP STAGE]` and answers each with the status
in which that run ended. STAGE is the moment within step STEP: "sample", before
answers are decoded; "learn", before the updates; "write", with half a
checkpoint on the disk; "rename", with a whole one that is not yet in its
place; "prune", before old ones are removed. A checkpoint follows each step.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

import keras
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl.callbacks import (
    BestPolicy,
    CsvLog,
    DivergenceGuard,
    EarlyStopping,
)
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam

STEPS, BATCH = 20, 8
SUPERVISED, EPOCHS = "likelihood", 7  # of three steps each, the last cut
STAGES = ("sample", "learn", "write", "rename", "prune")


def made(folder: Path, algorithm: str, **settings):
    """The run's trainer, its checkpoints and all callbacks."""
    rate = keras.optimizers.schedules.PolynomialDecay(1e-2, 10 * STEPS, 0)
    if algorithm == SUPERVISED:
        objective = Likelihood(prompt_weight=0.2)
        adam = Adam(rate, weight_decay=0.05)
        trainer = Learner(tiny.policy("gru"), objective, adam, seed=3)
    else:
        trainer = toy.trainer(
            "gru", algorithm, learning_rate=rate, seed=3, **settings
        )
    checkpoint = Checkpoint(trainer, folder / "checkpoints", every=1)
    stopping = EarlyStopping("reward", patience=50, window=3)
    guard = DivergenceGuard(checkpoint)
    if algorithm == SUPERVISED:
        stopping = BestPolicy(folder / "policy.keras")
    checkpoint.remembered = [guard, stopping]
    log = CsvLog(folder / "log.csv")
    return trainer, checkpoint, [guard, stopping, log, checkpoint]


def run(folder: Path, algorithm: str, moment=None):
    """Go on to the end, or until the moment `(step, stage)`."""
    trainer, checkpoint, callbacks = made(folder, algorithm)
    checkpoint.restore()
    if moment:
        arm(trainer, *moment)
    if algorithm == SUPERVISED:
        held_out = toy.EXAMPLES[:3]
        trainer.fit(toy.EXAMPLES, EPOCHS, 3, held_out, callbacks)
    else:
        trainer.fit(toy.EXAMPLES, STEPS, BATCH, callbacks=callbacks)


def arm(trainer, step: int, stage: str):
    """Let the process kill itself in `step`, at `stage`."""

    def wrap(holder, name, before=True):
        original = getattr(holder, name)

        def wrapped(*given, **options):
            now = trainer.finished_steps + (stage in ("sample", "learn"))
            if not before:
                original(*given, **options)
            if now == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*given, **options) if before else None

        setattr(holder, name, wrapped)

    if stage == "sample":
        wrap(trainer.policy, "decode")
    elif stage == "learn":
        wrap(trainer, "learn" if hasattr(trainer, "learn") else "step")
    elif stage == "write":
        wrap(tf.train.Checkpoint, "write", before=False)
    elif stage == "rename":
        wrap(os, "replace")
    else:
        wrap(shutil, "rmtree")


def serve():
    """A life for each line of input, in a fork of this process.

    TensorFlow is imported but has not started: only then may it be forked.
    """
    for line in sys.stdin:
        folder, algorithm, *moment = line.split()
        child = os.fork()
        if not child:
            step = (int(moment[0]), moment[1]) if moment else None
            run(Path(folder), algorithm, step)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
