"""From words to algorithms: a name, or a name with options."""

import sys

from tf_tokenrl import catalog
from tf_tokenrl.algorithms.base import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules.parse import read


def get(name: str, /, **options) -> Algorithm:
    """The algorithm called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, or an option that cannot be.
    """
    algorithm = catalog.create(sys.modules[__package__], name, **options)
    if not isinstance(algorithm, Algorithm):
        raise TokenRLError(
            f'"{name}" is not an algorithm: '
            "derive it from tf_tokenrl.algorithms.Algorithm."
        )
    return algorithm


def parse(expression: str) -> Algorithm:
    """The algorithm that an expression describes; nothing is evaluated.

        ppo
        ppo(epochs=2, entropy_weight=linear(0.01, 0.0, steps=100))
        mixed(algorithm="reinforce(baseline='none')", imitation_weight=0.2)

    Raises:
        TokenRLError: bad syntax, an unknown name, or an option that is
            neither a literal nor a schedule, or that cannot be.
    """
    name, options = catalog.parse_call(expression, read)
    return get(name, **options)
