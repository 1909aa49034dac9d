"""How a policy learns from rewards: one file per algorithm.

algorithm = rl.algorithms.get("ppo", clip=0.2, epochs=4)
"""

import sys

from tf_tokenrl import catalog
from tf_tokenrl.algorithms.base import Algorithm
from tf_tokenrl.errors import TokenRLError

__all__ = ["Algorithm", "get"]


def get(name: str, /, **options) -> Algorithm:
    """The algorithm called `name`, or the user's "module:Class".

    Raises:
        TokenRLError: unknown name, or an option that cannot be.
    """
    algorithm = catalog.create(sys.modules[__name__], name, **options)
    if not isinstance(algorithm, Algorithm):
        raise TokenRLError(
            f'"{name}" is not an algorithm: '
            "derive it from tf_tokenrl.algorithms.Algorithm."
        )
    return algorithm
