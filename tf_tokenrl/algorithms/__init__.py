"""How a policy learns from rewards: one file per algorithm.

algorithm = rl.algorithms.get("ppo", clip=0.2, epochs=4)
algorithm = rl.algorithms.parse("ppo(clip=0.2, epochs=4)")
"""

import sys

from tf_tokenrl import catalog, expressions, schedules
from tf_tokenrl.algorithms.base import Algorithm
from tf_tokenrl.errors import TokenRLError

__all__ = ["Algorithm", "get", "parse"]


def get(name: str, /, **options) -> Algorithm:
    """Build the algorithm called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, or an option that cannot be.
    """
    algorithm = catalog.create(FAMILY.package, name, **options)
    if not isinstance(algorithm, Algorithm):
        raise TokenRLError(
            f'"{name}" is not an algorithm: '
            "derive it from tf_tokenrl.algorithms.Algorithm."
        )
    return algorithm


def parse(expression: str) -> Algorithm:
    """Build the algorithm that an expression describes; nothing is evaluated.

        ppo
        ppo(epochs=2, entropy_weight=linear(0.01, 0.0, steps=100))
        mixed(algorithm=reinforce(baseline='none'), imitation_weight=0.2)

    Raises:
        TokenRLError: bad syntax, an unknown name, or an option that does not
            fit; the message says at which character.
    """
    return expressions.parse(expression, _LANGUAGE)


FAMILY = expressions.Family("algorithm", sys.modules[__name__], Algorithm, get)
_LANGUAGE = expressions.Language(
    "algorithm",
    (FAMILY, schedules.FAMILY),
    "name one algorithm, with its options in brackets",
)
