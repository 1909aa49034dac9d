"""What a policy learns from data that exists: one file per objective.

objective = objectives.parse("dpo(beta=0.1, label_smoothing=0.1)")
"""

import sys

from tf_tokenrl import catalog, expressions
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training.objectives.base import Objective

__all__ = ["Objective", "get", "parse"]


def get(name: str, /, **options) -> Objective:
    """Build the objective called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, or an option that cannot be.
    """
    objective = catalog.create(FAMILY.package, name, **options)
    if not isinstance(objective, Objective):
        raise TokenRLError(
            f'"{name}" is not an objective: '
            "derive it from tf_tokenrl.training.objectives.Objective."
        )
    return objective


def parse(expression: str) -> Objective:
    """Build the objective that an expression describes; nothing is evaluated.

        likelihood(prompt_weight=0.2, weighting='gold')
        dpo(beta=0.1, loss='ipo')

    Raises:
        TokenRLError: bad syntax, an unknown name, or an option that does not
            fit; the message says at which character.
    """
    return expressions.parse(expression, _LANGUAGE)


FAMILY = expressions.Family("objective", sys.modules[__name__], Objective, get)
_LANGUAGE = expressions.Language(
    "objective",
    (FAMILY,),
    "name one objective, with its options in brackets",
)
