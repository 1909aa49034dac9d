"""Numbers that change while a run goes on: one file per schedule.

weight = rl.schedules.get("linear", 0.0, 0.3, steps=100)
weight = rl.schedules.parse("linear(0.0, 0.3, steps=100)")
"""

import sys

from tf_tokenrl import catalog, expressions
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules.base import Measurement, Product, Schedule

__all__ = ["Measurement", "Product", "Schedule", "get", "parse"]


def get(name: str, /, *arguments, **options) -> Schedule:
    """Build the schedule called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, an option that cannot be, or a class that
            is not a `Schedule`.
    """
    found = catalog.find(FAMILY.package, name)
    if not (isinstance(found, type) and issubclass(found, Schedule)):
        raise TokenRLError(
            f'"{name}" is not a schedule: derive it from '
            "tf_tokenrl.schedules.Schedule."
        )
    return catalog.build(name, found, arguments, options)


def parse(expression: str) -> Schedule:
    """Build the schedule that an expression describes; nothing is evaluated.

        0.1
        linear(0.0, 0.3, steps=100)
        0.5 * cosine(1.0, 0.0, steps=200, after=10)
        'my_module:Warmup'(steps=3)

    Raises:
        TokenRLError: bad syntax, an unknown schedule, or an option that does
            not fit; the message says at which character.
    """
    found = expressions.value(expression, _LANGUAGE)
    return found if isinstance(found, Schedule) else get("constant", found)


FAMILY = expressions.Family("schedule", sys.modules[__name__], Schedule, get)
_LANGUAGE = expressions.Language(
    "schedule", (FAMILY,), "only * joins schedules, with each other or numbers"
)
