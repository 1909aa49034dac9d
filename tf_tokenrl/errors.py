"""The one exception a user of this library is meant to read."""

import difflib
from collections.abc import Iterable


class TokenRLError(ValueError):
    """Something the user can mend: what is wrong, where, and the remedy.

    The command line prints its message as one line and exits with
    `exit_code`; every other exception is a defect of ours and keeps its
    traceback.
    """

    exit_code = 1


def unknown(kind: str, name: str, available: Iterable[str]) -> TokenRLError:
    """The error for a name that is not among `available`."""
    names = sorted(available)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f' Did you mean "{close[0]}"?' if close else ""
    return TokenRLError(
        f'Unknown {kind} "{name}".{hint} Available: {", ".join(names)}.'
    )
