"""How a policy learns from rewards: one file per algorithm.

algorithm = rl.algorithms.get("ppo", clip=0.2, epochs=4)
algorithm = rl.algorithms.parse("ppo(clip=0.2, epochs=4)")
"""

from tf_tokenrl.algorithms.base import Algorithm
from tf_tokenrl.algorithms.parse import get, parse

__all__ = ["Algorithm", "get", "parse"]
