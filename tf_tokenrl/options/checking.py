"""What options are: frozen dataclasses whose annotations say what fits.

    batch_size: Count = 96
    learning_rate: Annotated[Positive, OPTIMIZER] = 3e-4

A range or a choice is declared with the option, and checked when the options
are made, before any work. A `Group` gives it a heading and a prefix on the
command line, `--optimizer.learning-rate`; in Python and in files it stays
`learning_rate`.
"""

import dataclasses
import math
import operator
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from annotated_types import Ge, Gt, Le, Lt

from tf_tokenrl.errors import TokenRLError, unknown

Count = Annotated[int, Ge(1)]
Amount = Annotated[int, Ge(0)]  # 0 has a meaning of its own
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
Split = Literal["train", "validation", "test"]
Dtype = Literal["", "float32", "mixed_bfloat16", "bfloat16"]
Strategy = Literal["default", "one_device", "mirrored", "multi_worker", "tpu"]


class Group(NamedTuple):
    """Options that belong together on the command line.

    Attributes:
        name: the prefix of their flags.
        title: what they are about, for `--help`.
    """

    name: str
    title: str


OPTIMIZER = Group("optimizer", "how weights move")
ROLLOUT = Group("rollout", "how answers are drawn and rewarded")
COMPUTE = Group("compute", "where and in which precision it runs")
WATCH = Group("watch", "what is looked at, kept and ended early")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a command; a value that does not fit is refused."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(
                flag(type(self), field.name),
                hints(type(self))[field.name],
                getattr(self, field.name),
            )


def hints(cls: type) -> dict[str, Any]:
    """The annotations of a class, with what they say beside the type."""
    return typing.get_type_hints(cls, include_extras=True)


def group_of(hint: Any) -> Group | None:
    """The group of an option, by its annotation."""
    extras = getattr(hint, "__metadata__", ())
    return next((x for x in extras if isinstance(x, Group)), None)


def flag(cls: type, name: str) -> str:
    """How an option is written on the command line."""
    group = group_of(hints(cls)[name])
    path = f"{group.name}.{name}" if group else name
    return "--" + path.replace("_", "-")


def check(name: str, hint: Any, value: Any) -> None:
    """A value must be of the type, the range or the choices of a hint.

    Raises:
        TokenRLError: it is not.
    """
    bounds = getattr(hint, "__metadata__", ())
    kind = typing.get_args(hint)[0] if bounds else hint
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal and value not in inner:
        raise unknown(f"value of {name}", str(value), map(str, inner))
    if origin is tuple and isinstance(value, tuple):
        for part in value:
            check(name, inner[0], part)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return
    if kind is int and not isinstance(value, int):
        raise TokenRLError(f"{name} must be a whole number, not {value}.")
    fits = math.isfinite(value) and all(_within(value, b) for b in bounds)
    if not fits:
        words = " and ".join(filter(None, map(_words, bounds)))
        wanted = words or "a finite number"
        raise TokenRLError(f"{name} must be {wanted}, not {value}.")


_BOUNDS: dict[type, tuple[str, Callable, str]] = {
    Ge: ("ge", operator.ge, "at least"),
    Gt: ("gt", operator.gt, "above"),
    Le: ("le", operator.le, "at most"),
    Lt: ("lt", operator.lt, "below"),
}


def _within(value: float, bound: Any) -> bool:
    if type(bound) not in _BOUNDS:
        return True
    name, holds, _ = _BOUNDS[type(bound)]
    return bool(holds(value, getattr(bound, name)))


def _words(bound: Any) -> str:
    if type(bound) not in _BOUNDS:
        return ""
    name, _, words = _BOUNDS[type(bound)]
    return f"{words} {getattr(bound, name)}"
