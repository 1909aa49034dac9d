"""Answers of a wanted form, as a regular expression."""

import functools

import regex

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Regex(Reward):
    """1 on the last token of an answer that matches, else 0.

    Attributes:
        pattern: a regular expression; `(?i)` before it ignores letter case.
        search: True is content with a match anywhere; else the whole answer
            must match.
        seconds: how long one answer may take. Some patterns take time that
            doubles with each character; such a one ends the run.
    """

    def __init__(
        self, pattern: str, search: bool = False, seconds: float = 2.0
    ):
        try:
            _compiled(pattern)
        except (regex.error, TypeError, RecursionError) as error:
            raise TokenRLError(
                f"Regex: cannot read the pattern {pattern!r}: {error}."
            ) from error
        if not seconds > 0:
            raise TokenRLError(
                f"Regex: seconds must be above 0, not {seconds!r}."
            )
        self.pattern = pattern
        self.search = search
        self.seconds = seconds

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`.

        Raises:
            TokenRLError: no end after `seconds`.
        """
        pattern = _compiled(self.pattern)
        match = pattern.search if self.search else pattern.fullmatch
        try:
            found = match(response.text, timeout=self.seconds)
        except TimeoutError as error:
            raise TokenRLError(
                f"Reward {self!r} took more than {self.seconds} seconds for "
                f"an answer of {len(response.text)} characters, "
                f"{response.text[:40]!r}: write the pattern without nested "
                "repeats, such as (a+)+."
            ) from error
        return float(found is not None)


@functools.lru_cache(64)
def _compiled(pattern: str):
    return regex.compile(pattern)
