"""Who may call: no script of another site, and who knows the token.

A browser sends requests to the loopback interface for any site that it shows,
and a site may point a name of its own at 127.0.0.1. So the Host must be one
of ours, an Origin must be the same as the Host, and a body must be JSON, which
no form and no script sends to another site unasked.
"""

import hmac
import urllib.parse
from collections.abc import Collection

from starlette.exceptions import HTTPException
from starlette.requests import Request

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Guard:
    """Lets requests in or raises.

    Args:
        hosts: names besides those of the loopback interface under which the
            server may be called.
        token: what whoever writes must send as a bearer token; "" for
            nothing.
    """

    def __init__(self, hosts: Collection[str] = (), token: str = ""):
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}
        self._token = token.encode()

    def check_site(self, request: Request) -> None:
        """The request comes from a page of this server, or from no page.

        Raises:
            HTTPException: 403, it does not.
        """
        host = request.headers.get("host", "")
        name, port = _split(host)
        ours = request.scope["server"]
        if name not in self._hosts or (
            name in _LOOPBACK and ours is not None and port != ours[1]
        ):
            raise HTTPException(
                403, f'The host "{host}" is not a name of this server.'
            )
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise HTTPException(403, "Pages of other sites may not ask here.")
        site = request.headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin"):
            raise HTTPException(403, "Pages of other sites may not ask here.")

    def check_write(self, request: Request) -> None:
        """The request may add records.

        Raises:
            HTTPException: 403, it comes from another site; 415, it is not
                JSON; 401, it does not have the token.
        """
        self.check_site(request)
        kind = request.headers.get("content-type", "").partition(";")[0]
        if kind.strip().lower() != "application/json":
            raise HTTPException(415, "The body must be application/json.")
        given = request.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        if scheme.lower() != "bearer":
            token = ""
        if self._token and not hmac.compare_digest(token.encode(), self._token):
            raise HTTPException(
                401,
                "Send the API token: Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )


def _split(host: str) -> tuple[str, int]:
    """Name and port of a Host header; port 80 where it has none."""
    try:
        parts = urllib.parse.urlsplit(f"//{host}")
        return (parts.hostname or "").rstrip("."), parts.port or 80
    except ValueError:
        return "", 0
