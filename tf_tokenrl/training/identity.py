"""What a run was begun with, compared across versions of the library."""

import re
from collections.abc import Callable

from tf_tokenrl import algorithms, rewards
from tf_tokenrl.errors import TokenRLError


def same(name: str, before, now) -> bool:
    """Whether an option of a run is what it was.

    An algorithm or reward that has gained options since is the same if they
    have their defaults: the old text is read, and written as it is today.

    Args:
        name: of the option.
        before: its value when the run began, as JSON has it.
        now: its value today.
    """
    return before == now or _spelled_now(name, before) == now


def _spelled_now(name: str, text):
    parse: Callable | None = _PARSERS.get(name)
    if parse is None or not isinstance(text, str):
        return text
    try:
        return repr(parse(text))
    except (TokenRLError, TypeError, ValueError):
        return text


def _algorithm(text: str):
    """ "ActorCritic(steps=2)" as `algorithms.parse` reads it."""
    name, bracket, options = text.partition("(")
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return algorithms.parse(name + bracket + options)


_PARSERS = {"algorithm": _algorithm, "reward": rewards.parse}
