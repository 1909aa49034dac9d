"""Errors of grammar, on the tokens that hold them; to be subtracted."""

import functools
from collections.abc import Callable

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.placement import Span, on_spans
from tf_tokenrl.text.words import pieces

DIALECTS = ("american", "australian", "british", "canadian", "indian")


class Grammar(Reward):
    """The rate of grammar and spelling errors of an English answer.

        errors / words

    Each error is shared by the tokens that added its characters; words stand
    between white space. It marks the fault: write `- grammar`.

    Attributes:
        checker: "harper", which works offline, or "language_tool".
        dialect: "american", "australian", "british", "canadian", "indian".
        rate: False counts errors, whatever the length.
        server: the address of a LanguageTool server, for "language_tool";
            None starts one on this machine, which needs Java and the
            internet once.

    Note:
        What is an error is the checker's opinion: both know rules, not the
        language. A text of names or code has many. A word's fault shows in
        the words behind it, so where rewards are summed from a token on, as
        in REINFORCE and PPO, all goes to the last token; `dense(grammar)`
        pays along the way.
    """

    looks_ahead = True  # whether a word is an error, the next ones decide

    def __init__(
        self,
        checker: str = "harper",
        dialect: str = "american",
        rate: bool = True,
        server: str | None = None,
    ):
        if checker not in _CHECKERS:
            raise unknown("grammar checker", checker, _CHECKERS)
        if dialect not in DIALECTS:
            raise unknown("dialect", dialect, DIALECTS)
        self.checker = checker
        self.dialect = dialect
        self.rate = rate
        self.server = server

    def score(self, example: Example, response: Response) -> list[float]:
        """See `Reward.score`.

        Raises:
            TokenRLError: the checker is not there, or does not answer.
        """
        words = len(pieces(response.text))
        check = _CHECKERS[self.checker](self.dialect, self.server)
        errors = check(response.text) if words else []
        amount = 1.0 / words if self.rate and words else 1.0
        spans = [Span(start, end, amount) for start, end in errors]
        return on_spans(response, spans)


Check = Callable[[str], list[tuple[int, int]]]


@functools.cache
def _harper(dialect: str, server: str | None) -> Check:
    import harper

    linter = harper.Linter(getattr(harper.Dialect, dialect.upper()))

    def check(text: str) -> list[tuple[int, int]]:
        lints = linter.lint(text, language="plaintext")
        return [(lint.span.start, lint.span.end) for lint in lints]

    return check


@functools.cache
def _language_tool(dialect: str, server: str | None) -> Check:
    try:
        import language_tool_python
    except ImportError as error:
        raise TokenRLError(
            "Grammar: the checker language_tool is not installed; run `pip "
            'install "tf_tokenrl[languagetool]"`, or use checker="harper".'
        ) from error
    failures = (language_tool_python.exceptions.LanguageToolError, OSError)
    language = {"american": "US", "australian": "AU", "british": "GB"}
    language |= {"canadian": "CA", "indian": "IN"}

    def answered(call, *arguments, **options):
        try:
            return call(*arguments, **options)
        except failures as error:
            raise TokenRLError(
                f"Grammar: LanguageTool does not answer: {error}; check the "
                'server, or use checker="harper".'
            ) from error

    tool = answered(
        language_tool_python.LanguageTool,
        f"en-{language[dialect]}",
        remote_server=server,
    )

    def check(text: str) -> list[tuple[int, int]]:
        matches = answered(tool.check, text)
        return [(m.offset, m.offset + m.error_length) for m in matches]

    return check


_CHECKERS = {"harper": _harper, "language_tool": _language_tool}
