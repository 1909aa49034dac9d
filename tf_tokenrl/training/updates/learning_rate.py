"""A learning rate that can be lowered while a run goes on."""

from collections.abc import Mapping
from typing import Any

import keras


class Lowered(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule times `factor`, a variable that is 1 at first.

    rate(update) = schedule(update) * factor
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule
    ):
        self.schedule = schedule
        self.factor = keras.Variable(1.0, trainable=False, name="factor")

    def __call__(self, step):
        return self.schedule(step) * self.factor

    def get_config(self):
        return {"schedule": self.schedule}


class LearningRate:
    """An optimizer's learning rate: a number, or a schedule made `Lowered`.

    Attributes:
        factor: the product of what it was lowered by so far.
        described: the rate that a run begins with, as text.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self._optimizer = optimizer
        self._schedule: Lowered | None = None
        self.factor = 1.0
        # The property `learning_rate` gives the number of now.
        rate = optimizer._learning_rate
        if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
            self.described = f"{type(rate).__name__}({rate.get_config()})"
            self._schedule = Lowered(rate)
            optimizer.learning_rate = self._schedule
        else:
            # Under a strategy the variable has a copy on each replica.
            now = keras.ops.convert_to_numpy(rate)
            self.described = f"{float(now):g}"

    def lower(self, factor: float) -> None:
        """Let `factor` be the product of what the rate was lowered by."""
        if self._schedule is None:
            now = float(self._optimizer.learning_rate)
            self._optimizer.learning_rate = now * factor / self.factor
        self.restore({"learning_rate_factor": factor})

    def state(self) -> dict[str, float]:
        """What lowering it left, fit for JSON; saved in checkpoints."""
        return {"learning_rate_factor": self.factor}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave, once the optimizer was restored.

        A rate that is a number is one of the optimizer's variables.
        """
        self.factor = state["learning_rate_factor"]
        if self._schedule is not None:
            self._schedule.factor.assign(self.factor)
