"""What is rewarded, token by token: one file per reward.

reward = rl.rewards.get("rouge", variant="l") - 0.1 * rl.rewards.get("kl")
reward = rl.rewards.parse("rouge(variant='l') - 0.1 * kl")
"""

from tf_tokenrl.rewards.base import Function, Mixture, Reward
from tf_tokenrl.rewards.parse import get, parse

__all__ = ["Function", "Mixture", "Reward", "get", "parse"]
