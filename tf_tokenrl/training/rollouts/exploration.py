"""How far a policy strays from what it thinks best while it learns."""

import dataclasses
import numbers
from collections.abc import Mapping

import numpy as np

from tf_tokenrl import expressions, schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Tensor
from tf_tokenrl.schedules import Schedule

_SAMPLING = ("temperature", "uniform")


def sampling(settings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a step's settings that decide how answers are drawn."""
    return {name: settings[name] for name in _SAMPLING if name in settings}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exploration:
    """The distribution that answers are drawn from, and learned under.

        p(a) = (1 - uniform) softmax(logits / temperature)_a + uniform / V

    Sampling, the ratio of new to old, KL to the reference and the entropy are
    all of this one distribution, so that the ratio starts at 1 and KL at 0
    whatever the step. Evaluation and export know nothing of it.

    Attributes:
        temperature: a number above 0 or a schedule of such; None takes the
            policy's own.
        uniform: share of the uniform distribution, at least 0 and below 1,
            or a schedule.

    Source: the mixture is epsilon-greedy's for a stochastic policy, Sutton
    and Barto (2018), "Reinforcement Learning", section 5.4.
    """

    temperature: float | Schedule | None = None
    uniform: float | Schedule = 0.0

    def __post_init__(self):
        self.at(0, 1.0)

    def at(self, step: int, temperature: float) -> dict[str, np.float32]:
        """`temperature`, and `uniform` where it is used, at a step.

        Args:
            step: number of the step.
            temperature: the policy's own.

        Raises:
            TokenRLError: a number does not fit.
        """
        if self.temperature is not None:
            temperature = _now("temperature", self.temperature, step)
        if not 0 < temperature < float("inf"):
            raise TokenRLError(
                f"Exploration: temperature is {temperature} in step {step}; "
                "it must stay above 0."
            )
        settings = {"temperature": np.float32(temperature)}
        if not _is_zero(self.uniform):
            uniform = _now("uniform", self.uniform, step)
            if not 0 <= uniform < 1:
                raise TokenRLError(
                    f"Exploration: uniform is {uniform} in step {step}; it "
                    "must be at least 0 and below 1."
                )
            settings["uniform"] = np.float32(uniform)
        return settings


def parse(expression: str) -> Exploration:
    """Build the exploration that an expression describes.

        temperature=linear(1.0, 0.7, steps=100)
        exploration(uniform=linear(0.1, 0.0, steps=50))

    Raises:
        TokenRLError: it cannot be read, or an option cannot be.
    """
    names = {"exploration": ""}
    return expressions.call(expression, Exploration, _LANGUAGE, names)


_LANGUAGE = expressions.Language(
    "exploration", (schedules.FAMILY,), "write temperature=..., uniform=..."
)


def _now(name: str, value: float | Schedule, step: int) -> float:
    if isinstance(value, Schedule):
        if value.listens:
            raise TokenRLError(
                f"Exploration: {name} must follow the step alone, unlike "
                f"{value!r}."
            )
        return value(step)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TokenRLError(
            f"Exploration: {name} must be a number or a schedule, not "
            f"{value!r}."
        )
    return float(value)


def _is_zero(value: float | Schedule) -> bool:
    return isinstance(value, numbers.Real) and float(value) == 0.0
