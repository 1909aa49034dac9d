"""Stop when the run no longer gets better."""

import math
from typing import Any

import keras

from tf_tokenrl.errors import TokenRLError, unknown

_VALIDATION = "validation/"


class EarlyStopping(keras.callbacks.Callback):
    """Ends the run when a log has not improved for a while.

    A training log is one noisy batch, so the mean of the last `window` steps
    is judged, from the step on which `window` of them are known. A log named
    "validation/..." already is a mean over many texts and is judged as it
    comes. A value that is not finite never counts as an improvement.

    Args:
        monitor: the log to watch, such as "reward" or "validation/rouge".
        patience: how many judged values (steps, or validations) without an
            improvement end the run.
        min_delta: an improvement is larger than this, in the log's unit.
        window: steps to average over; ignored for validation logs.
        mode: "max" where more is better, "min" where less is.

    Raises:
        TokenRLError: an argument out of range, or at the first step (or the
            first validation) a `monitor` that is not among its logs.

    Note: `keras.callbacks.EarlyStopping` judges epochs, which a reinforcement
    learning run does not have, and forgets its state on resume.
    """

    def __init__(
        self,
        monitor: str = "reward",
        patience: int = 20,
        min_delta: float = 0.0,
        window: int = 10,
        mode: str = "max",
    ):
        super().__init__()
        if patience < 1 or window < 1 or mode not in ("max", "min"):
            raise TokenRLError(
                "EarlyStopping takes a patience and a window of at least 1 "
                f'and the mode "max" or "min", not patience={patience}, '
                f'window={window}, mode="{mode}".'
            )
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.window = 1 if monitor.startswith(_VALIDATION) else window
        self._sign = 1 if mode == "max" else -1
        self._forget()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; plain JSON."""
        return {
            "recent": list(self._recent),
            "best": self._best,
            "waited": self._waited,
        }

    def restore(self, state: dict[str, Any]):
        """Take up what `state` gave."""
        self._recent = list(state["recent"])
        self._best = state["best"]
        self._waited = state["waited"]

    def on_train_begin(self, logs=None):
        if not self.params.get("first_step", 0):
            self._forget()

    def on_train_batch_end(self, batch, logs=None):
        value = self._watched(logs or {})
        if value is None:
            return
        if self._improves(value):
            self._waited = 0
        elif self._best is not None or not math.isfinite(value):
            self._waited += 1
        if self._waited >= self.patience:
            self.model.stop_training = True

    def _forget(self):
        self.restore({"recent": [], "best": None, "waited": 0})

    def _watched(self, logs: dict[str, float]) -> float | None:
        """The monitored log, None on a step that has no such kind of log."""
        validation = self.monitor.startswith(_VALIDATION)
        peers = [n for n in logs if n.startswith(_VALIDATION) == validation]
        if peers and self.monitor not in peers:
            raise unknown("log", self.monitor, peers)
        return float(logs[self.monitor]) if peers else None

    def _improves(self, value: float) -> bool:
        """Takes in one value; is the smoothed log better than ever?"""
        if not math.isfinite(value):
            return False
        self._recent = [*self._recent, value][-self.window :]
        if len(self._recent) < self.window:
            return False
        score = self._sign * math.fsum(self._recent) / self.window
        better = self._best is None or score > self._best + self.min_delta
        if better:
            self._best = score
        return better
