"""What the flags ask for: a store, and the routes that fill it."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from starlette.routing import BaseRoute

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback.remote import Sink, connect
from tf_tokenrl.serving.feedback.guard import Guard
from tf_tokenrl.serving.feedback.routes import Collector

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Collection(NamedTuple):
    """Routes over one store, and how to let go of it."""

    routes: tuple[BaseRoute, ...] = ()
    close: Callable[[], None] = lambda: None
    collector: Collector | None = None


def collection(
    store: Sink | str, host: str, token_file: str = "", hosts: str = ""
) -> Collection:
    """The routes of `/v1/feedback`.

    Args:
        store: the store, or its URL.
        host: the interface on which they are to be served.
        token_file: a file with the token that whoever writes must send.
        hosts: names of the server besides those of the loopback interface,
            with commas.

    Raises:
        TokenRLError: the store or the file cannot be used, or strangers could
            write without a token.
    """
    token = _token(token_file)
    if host not in _LOOPBACK and not token:
        raise TokenRLError(
            f"Feedback on {host} needs a token, or everybody who reaches the "
            "port could write: give --feedback_token_file."
        )
    names = [name for name in hosts.split(",") if name]
    sink = connect(store)
    collector = Collector(sink, Guard(names, token))
    routes = tuple(collector.routes(bool(token)))
    return Collection(routes, sink.close, collector)


def _token(path: str) -> str:
    if not path:
        return ""
    try:
        token = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TokenRLError(f'Cannot read the token in "{path}".') from error
    if len(token) < 16:
        raise TokenRLError(
            f'The token in "{path}" is shorter than 16 characters: take a '
            "longer one."
        )
    return token
