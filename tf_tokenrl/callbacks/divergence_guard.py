"""Notice that a run falls apart, go back, and go on with smaller steps."""

import math
import statistics
import sys
from collections.abc import Mapping
from typing import Any

import keras

from tf_tokenrl.errors import TokenRLError, unknown

LIMITS = {
    "kl": 10.0,
    "approximate_kl": 1.0,
    "ratio_clipped": 0.9,
    "entropy_rise": 1.0,
    "entropy_fall": 1e4,
    "gradient_norm": 100.0,
}
REMEDY = "a lower --learning-rate, more weight on KL or smaller rewards"
_MEANING = {
    "kl": "KL to the reference in nats per token",
    "approximate_kl": "KL to the policy of the step before in nats per token",
    "ratio_clipped": "the share of clipped ratios",
    "entropy_rise": "the rise of the entropy over that of the first step",
    "entropy_fall": "the fall of the entropy, with the reward falling too,",
    "gradient_norm": "the gradient norm over its median",
}
_RECENT, _ENOUGH, _MARGIN = 50, 10, 3  # steps
_TINY = 1e-12


class DivergenceGuard(keras.callbacks.Callback):
    """Names what went wrong, restores the last good checkpoint, slows down.

    One guard guards one run.

    A step is bad when something in its logs is above its limit:

        kl              KL to the reference, nats per token: 10
        approximate_kl  KL of the policies before and after the step, nats
                        per token: 1
        ratio_clipped   share of the tokens whose ratio was clipped: 0.9
        entropy_rise    (H - H_1) / max(H_1, 1), H_1 that of step 1: 1
        entropy_fall    H_1 / H, while the reward is below that of step 1:
                        10000
        gradient_norm   the norm over the median of the last 50 good steps,
                        of 10 at least: 100

    A log that is not finite acts at once, other bad steps after `patience` in
    a row. The run then goes back to the newest checkpoint from before the bad
    steps began, three steps to spare, and all learning rates are multiplied
    by `factor` from there on. Logs that an algorithm does not have are not
    judged.

    Args:
        checkpoint: a `Checkpoint`, which must come later among the callbacks
            and remember this one.
        max_restores: the run gives up when it diverges once more than this.
        factor: of the learning rate, at each restore.
        patience: bad steps in a row that count as divergence.
        limits: other limits by name; None takes one away.
        remedy: what to begin again with, for the error.

    Raises:
        TokenRLError: an argument that cannot be; in training, the run
            diverged `max_restores + 1` times. The last good checkpoint is
            then the newest.

    Note: the limits are wide on purpose. In the demo KL stays below 0.7 nats
    per token, `approximate_kl` below 0.05, `ratio_clipped` at most 0.2, the
    norm within 1.5 times its median, see `docs/watching.md`.
    """

    def __init__(
        self,
        checkpoint,
        max_restores: int = 3,
        factor: float = 0.5,
        patience: int = 3,
        limits: Mapping[str, float | None] | None = None,
        remedy: str = REMEDY,
    ):
        super().__init__()
        if max_restores < 1 or patience < 1 or not 0 < factor < 1:
            raise TokenRLError(
                "DivergenceGuard takes a max_restores and a patience of at "
                "least 1 and a factor between 0 and 1, not max_restores="
                f"{max_restores}, patience={patience}, factor={factor}."
            )
        for name in limits or {}:
            if name not in LIMITS:
                raise unknown("limit", name, LIMITS)
        self.checkpoint = checkpoint
        self.max_restores = max_restores
        self.factor = factor
        self.patience = patience
        self.limits = {**LIMITS, **(limits or {})}
        self.remedy = remedy
        self.restores = 0
        self._bad = 0
        self._first: dict[str, float] = {}
        self._norms: list[float] = []

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; plain JSON."""
        return {
            "restores": self.restores,
            "bad": self._bad,
            "first": dict(self._first),
            "norms": list(self._norms),
        }

    def restore(self, state: dict[str, Any]):
        """Take up what `state` gave; going back undoes no restore."""
        self.restores = max(self.restores, state["restores"])
        self._bad = state["bad"]
        self._first = dict(state["first"])
        self._norms = list(state["norms"])

    def on_train_batch_end(self, batch, logs=None):
        if logs is None:
            return
        infinite = [name for name in logs if not math.isfinite(logs[name])]
        cause = self._beyond(logs)
        if infinite:
            cause = f"{', '.join(infinite)} is no finite number"
        self._bad = self._bad + 1 if cause else 0
        if not cause:
            self._remember(logs)
        elif infinite or self._bad >= self.patience:
            self._go_back(batch + 1, cause)
        logs["restores"] = float(self.restores)

    def _remember(self, logs: Mapping[str, float]):
        if not self._first:
            self._first = {
                k: logs[k] for k in ("entropy", "reward") if k in logs
            }
        if "gradient_norm" in logs:
            self._norms = [*self._norms, logs["gradient_norm"]][-_RECENT:]

    def _beyond(self, logs: Mapping[str, float]) -> str:
        """The first limit that is broken, as a clause; "" where none is."""
        for name, value in self._measured(logs).items():
            limit = self.limits[name]
            if limit is not None and value > limit:
                return f"{_MEANING[name]} is {value:.3g}, above {limit:g}"
        return ""

    def _measured(self, logs: Mapping[str, float]) -> dict[str, float]:
        """What the limits are for, as far as the logs tell."""
        names = ("approximate_kl", "ratio_clipped")
        measured = {name: logs[name] for name in names if name in logs}
        if "kl" in logs:
            measured["kl"] = logs["kl"] / max(logs["length"], 1.0)
        if "entropy" in logs and "entropy" in self._first:
            now, first = logs["entropy"], self._first["entropy"]
            measured["entropy_rise"] = (now - first) / max(first, 1.0)
            if logs.get("reward", 0.0) < self._first.get("reward", 0.0):
                measured["entropy_fall"] = first / max(now, _TINY)
        if "gradient_norm" in logs and len(self._norms) >= _ENOUGH:
            median = max(statistics.median(self._norms), _TINY)
            measured["gradient_norm"] = logs["gradient_norm"] / median
        return measured

    def _go_back(self, step: int, cause: str):
        good = step - self._bad - _MARGIN
        self._bad = 0
        if self.restores == self.max_restores:
            finished = self.checkpoint.roll_back(good, self.factor)
            raise TokenRLError(
                f"Training diverged in step {step} ({cause}) after "
                f"{self.restores} restores: begin again with {self.remedy}; "
                f"the last good checkpoint is that of step {finished} in "
                f'"{self.checkpoint.folder}".'
            )
        self.restores += 1
        self.checkpoint.roll_back_after_step(good, self.factor)
        print(
            f"Step {step}: {cause}. Going back to a checkpoint of step "
            f"{max(good, 0)} or before, learning rate times {self.factor:g} "
            f"(restore {self.restores} of {self.max_restores}).",
            file=sys.stderr,
        )
