"""Checkpoints of a whole training run, whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage
from tf_tokenrl.runtime.strategies import is_chief
from tf_tokenrl.training.identity import same

_PREFIX = "step-"
_STATE = "state.json"
_REMEDY = (
    "free some space; the last good checkpoint is untouched and `--resume` "
    "continues from it"
)
_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,  # TensorFlow's reader says so of a file that is too short
    RuntimeError,
    AssertionError,
    DecodeError,
    tf.errors.OpError,
)


class Checkpoint(keras.callbacks.Callback):
    """Saves the run every so many steps and at its end.

    A checkpoint is a folder `step-<finished steps>` with the weights, the
    optimizer's slots, the number of finished steps and what algorithm,
    reward and stateful callbacks remember; data order and noise follow from
    the step. It is written beside its place and renamed, so an interrupted
    write never harms the last good one. A step that is saved again gets a
    number, `step-<finished steps>-<number>`, and the greatest counts.

    Args:
        trainer: what is saved.
        folder: holds the checkpoints.
        every: steps between two checkpoints.
        keep: how many of the newest stay.
        remembered: callbacks with `state` and `restore`.
        overwrite: a fresh run may replace the checkpoints of another.

    Of several workers the chief alone writes; all read, so the folder must be
    one that they share.
    """

    def __init__(
        self,
        trainer,
        folder: str | Path,
        every: int = 50,
        keep: int = 2,
        remembered: Sequence[keras.callbacks.Callback] = (),
        overwrite: bool = False,
    ):
        super().__init__()
        self.trainer = trainer
        self.folder = Path(folder)
        self.every = every
        self.keep = keep
        self.remembered = list(remembered)
        self.overwrite = overwrite
        self.writes = is_chief(trainer.strategy)
        self._saved: int | None = None
        self._began: dict = {}
        self._back: tuple[int, float] | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a checkpoint, readable or not."""
        return bool(checkpoints(self.folder))

    def check_free(self) -> None:
        """A fresh run must not replace the checkpoints of another unasked.

        Raises:
            TokenRLError: it would.
        """
        fresh = self._saved is None and not self.trainer.finished_steps
        if not (self.writes and fresh) or self.overwrite:
            return
        if checkpoints(self.folder):
            raise TokenRLError(
                f'"{self.folder}" holds the checkpoints of an earlier run: '
                "go on with it by --resume, give another --out, move it "
                "aside, or replace it by --overwrite."
            )

    def on_train_begin(self, logs=None):
        """A fresh run removes what an earlier one left, if it may."""
        self.check_free()
        self._check_same(self._began, f'"{self.folder}"')
        if not self.writes:
            return
        if self._saved is None and not self.trainer.finished_steps:
            shutil.rmtree(self.folder, ignore_errors=True)
        for unfinished in self.folder.glob(f"{files.UNFINISHED}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self._save_once()

    def on_train_batch_end(self, batch, logs=None):
        if self._back:
            self.roll_back(*self._back)
            self._back = None
            if self.writes:
                self.save()
        elif self.trainer.finished_steps % self.every == 0:
            self._save_once()

    def on_train_end(self, logs=None):
        self._save_once()

    def _save_once(self) -> None:
        if self.writes and self._saved != self.trainer.finished_steps:
            self.save()

    def save(self) -> Path:
        """Write the state of now.

        Raises:
            TokenRLError: it cannot be written; older checkpoints stay.
        """
        step = self.trainer.finished_steps
        path = self._place(step)
        refused = (tf.errors.OpError,)
        with files.replacing_folder(path, _REMEDY, refused) as new:
            self._tensors().write(os.path.join(new, storage.TENSORS))
            storage.write_shape(self.trainer.policy, new)
            # Not `write_json`: a best value may be infinite.
            state = json.dumps(self._state(), indent=2)
            (new / _STATE).write_text(state, "utf-8")
        self._saved = step
        for old in checkpoints(self.folder)[self.keep :]:
            shutil.rmtree(old, ignore_errors=True)
        return path

    def restore(self) -> int:
        """Take up the newest checkpoint that can be read.

        Returns:
            The number of finished steps; 0 where there is no checkpoint.

        Raises:
            TokenRLError: there are checkpoints but none can be read, or they
                are of a run with other options.
        """
        return self._restore(checkpoints(self.folder))

    def roll_back(self, step: int, factor: float) -> int:
        """Go back to `step` or before, and lower the learning rate.

        The newest readable checkpoint that is not after `step` is taken up,
        or the oldest where all are; those after it are removed.

        Returns:
            The number of finished steps.

        Raises:
            TokenRLError: there is no checkpoint that can be read.
        """
        lowered = self.trainer.learning_rate.factor * factor
        found = checkpoints(self.folder)
        before = [path for path in found if finished_steps(path) <= step]
        finished = self._restore(before or found[-1:])
        for path in found:
            if self.writes and finished_steps(path) > finished:
                shutil.rmtree(path, ignore_errors=True)
        self.trainer.learning_rate.lower(lowered)
        return finished

    def roll_back_after_step(self, step: int, factor: float) -> None:
        """`roll_back` once the other callbacks are done with this step."""
        self._back = (step, factor)

    def _restore(self, found: list[Path]) -> int:
        for path in found:
            try:
                state = json.loads(Path(path, _STATE).read_text("utf-8"))
                if not self._changed(state["run"], self.trainer.fitted):
                    tensors = os.path.join(path, storage.TENSORS)
                    self._tensors().read(tensors).assert_consumed()
            except _UNREADABLE:
                print(
                    f'Checkpoint "{path}" is damaged and was passed over.',
                    file=sys.stderr,
                )
                continue
            return self._take_up(path, state)
        if found:
            raise TokenRLError(
                f'No checkpoint in "{self.folder}" can be read: begin again '
                "with another --out, or with --overwrite in place of --resume."
            )
        return 0

    def _take_up(self, path: Path, state: dict) -> int:
        before = state["run"]
        # The data of a run that goes on is known when it does.
        self._check_same(before, f'"{path}"', self.trainer.fitted)
        for callback, saved in zip(
            self.remembered, state["callbacks"], strict=True
        ):
            callback.restore(saved)
        self.trainer.restore(state)
        self._saved = self.trainer.finished_steps
        self._began = before
        return self.trainer.finished_steps

    def _place(self, step: int) -> Path:
        """A path that no checkpoint has."""
        path = self.folder / f"{_PREFIX}{step:08d}"
        number = 0
        while path.exists():
            number += 1
            path = self.folder / f"{_PREFIX}{step:08d}-{number:04d}"
        return path

    def _tensors(self) -> tf.train.Checkpoint:
        return tf.train.Checkpoint(**self.trainer.tracked())

    def _state(self) -> dict:
        return self.trainer.state() | {
            "run": self._run(),
            "callbacks": [c.state() for c in self.remembered],
        }

    def _run(self) -> dict:
        """What must not change between the parts of one run."""
        names = [type(c).__name__ for c in self.remembered]
        return self.trainer.identity() | {"callbacks": names}

    def _changed(self, before: dict, aside: Collection[str] = ()) -> list[str]:
        """What is another than before, a few names aside."""
        now = json.loads(json.dumps(self._run()))
        return [
            f"{name} was {before[name]}, now {now[name]}"
            for name in now
            if name in before
            and name not in aside
            and not same(name, before[name], now[name])
        ]

    def _check_same(
        self, before: dict, whose: str, aside: Collection[str] = ()
    ) -> None:
        if changed := self._changed(before, aside):
            raise TokenRLError(
                f"{whose} belongs to a run with other options "
                f"({'; '.join(changed)}): use the same, or begin a run of its "
                "own with another --out."
            )


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoints, the newest first."""
    return sorted(folder.glob(f"{_PREFIX}*"), reverse=True)


def finished_steps(path: Path) -> int:
    """Of a checkpoint, read off its name."""
    return int(path.name.split("-")[1])
