"""Keep the best policy so far on disk, and stop when no better one comes."""

import math
from pathlib import Path
from typing import Any

import keras

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage


class BestPolicy(keras.callbacks.Callback):
    """Writes the policy whenever a validation is better than all before.

    So the file is there from the first validation on, whatever becomes of the
    run, and it never holds a policy that fell apart later.

    Args:
        path: of the `.keras` file; None writes nothing, for the workers that
            are not the chief.
        monitor: the log to judge by, less being better.
        patience: validations without a better one that end the run; 0 never
            ends it.
        limit: a value above it is not written, such as one far worse than
            guessing.

    Attributes:
        best: the lowest value so far, None before the first.
    """

    def __init__(
        self,
        path: Path | None,
        monitor: str = "validation/nll",
        patience: int = 0,
        limit: float = math.inf,
    ):
        super().__init__()
        if patience < 0:
            raise TokenRLError(
                f"BestPolicy takes a patience of at least 0, not {patience}."
            )
        self.path = path
        self.monitor = monitor
        self.patience = patience
        self.limit = limit
        self.best: float | None = None
        self._waited = 0

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; plain JSON."""
        return {"best": self.best, "waited": self._waited}

    def restore(self, state: dict[str, Any]):
        """Take up what `state` gave."""
        self.best = state["best"]
        self._waited = state["waited"]

    def on_train_begin(self, logs=None):
        self._stop_if_in_vain()

    def on_train_batch_end(self, batch, logs=None):
        if logs and self.monitor in logs:
            self.consider(self.model, logs[self.monitor])
            self._stop_if_in_vain()

    def consider(self, policy, value: float) -> None:
        """Write `policy` if `value` is the best so far."""
        self._waited += 1
        if not value <= self.limit or not (
            self.best is None or value < self.best
        ):
            return
        if self.path is not None:
            storage.save(policy, self.path)
        self.best, self._waited = value, 0

    def _stop_if_in_vain(self):
        if 0 < self.patience <= self._waited:
            self.model.stop_training = True
