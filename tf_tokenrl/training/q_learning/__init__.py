"""Q-learning: the token environment, and TF-Agents' DQN on it.

`dqn` holds the options and `q_values` reads Q out of a policy; the other
modules need TF-Agents, which `agents` alone imports.
"""

import sys

from tf_tokenrl import catalog, expressions, schedules
from tf_tokenrl.algorithms import Algorithm


def parse(expression: str) -> Algorithm:
    """Build DQN from "dqn(epsilon=0.1)"; see `tf_tokenrl.expressions`.

    Raises:
        TokenRLError: it cannot be read, or an option cannot be.
    """
    return expressions.parse(expression, _LANGUAGE)


def _get(name: str, /, **options) -> Algorithm:
    return catalog.create(sys.modules[__name__], name, **options)


_FAMILY = expressions.Family(
    "algorithm", sys.modules[__name__], Algorithm, _get
)
_LANGUAGE = expressions.Language("algorithm", (_FAMILY, schedules.FAMILY))
