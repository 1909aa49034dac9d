"""What is rewarded, token by token: one file per reward.

reward = rl.rewards.get("rouge", variant="l") - 0.1 * rl.rewards.get("kl")
reward = rl.rewards.parse("rouge(variant='l') - 0.1 * kl")
"""

import sys
from collections.abc import Callable

from tf_tokenrl import catalog, expressions, schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards.base import Function, Mixture, Reward

__all__ = ["Function", "Mixture", "Reward", "get", "of", "parse"]


def get(name: str, /, *arguments, **options) -> Reward:
    """Build the reward called `name`, or the user's "module:Class".

    A reward of rewards takes them as arguments: `get("clip", rouge, high=1)`.
    "module:function" works too: the function is called with the example, the
    response and the options.

    Raises:
        TokenRLError: unknown name, an option the reward does not take, or a
            class that is not a `Reward`.
    """
    found = catalog.find(FAMILY.package, name)
    if not isinstance(found, type) and callable(found) and not arguments:
        return Function(found, **options)
    if not (isinstance(found, type) and issubclass(found, Reward)):
        raise TokenRLError(
            f'"{name}" is not a reward: derive it from '
            "tf_tokenrl.rewards.Reward, or name a function."
        )
    return catalog.build(name, found, arguments, options)


def parse(expression: str) -> Reward:
    """Build the reward that an expression describes; nothing is evaluated.

        rouge(variant='l') + 0.1 * length(target=12) - 0.05 * kl
        0.3 * 'my_module:Politeness'(weight=2)
        dense(bleu - 0.1 * 'my_module:Rudeness')
        clip(rouge, low=0, high=1) - adaptive(0.1, target=6) * kl

    Rewards are added, subtracted and scaled by numbers and schedules. Options
    are literals; a reward of rewards takes expressions for the parameters
    that its constructor annotates with `Reward`. See
    `tf_tokenrl.expressions`.

    Raises:
        TokenRLError: bad syntax, an unknown reward, or an option that does
            not fit; the message says at which character.
    """
    return expressions.parse(expression, _LANGUAGE)


def of(reward: Reward | Callable | str) -> Reward:
    """A reward, from an expression or a plain function too.

    Raises:
        TokenRLError: the expression cannot be read, or the function does not
            take an example and a response.
    """
    if isinstance(reward, str):
        return parse(reward)
    return reward if isinstance(reward, Reward) else Function(reward)


FAMILY = expressions.Family("reward", sys.modules[__name__], Reward, get, True)
_LANGUAGE = expressions.Language(
    "reward",
    (FAMILY, schedules.FAMILY),
    "add rewards to rewards, and scale them by numbers",
)
