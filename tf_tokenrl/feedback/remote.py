"""A feedback store behind HTTP: the same `append`, from anywhere."""

import contextlib
import http.client
import json
import random
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback.records import Answer, Judgement, Receipt
from tf_tokenrl.feedback.store import FeedbackStore

PATH = "/v1/feedback/records"
_PAUSE = 0.2  # seconds before the second try; each later one waits longer


class RemoteStore:
    """Sends records to `/v1/feedback` of a server.

    A call that breaks off, or meets a server that is busy, is tried again;
    since records have keys, one that was stored after all is stored once.

    Args:
        url: "http://HOST:PORT" or "https://...".
        token: what the server asks for, if it does.
        timeout: seconds for one call, all tries included.

    Raises:
        TokenRLError: the URL is not one of HTTP.
    """

    def __init__(self, url: str, token: str = "", timeout: float = 30.0):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TokenRLError(
                f'"{url}" is not the URL of a feedback server: write '
                "http://HOST:PORT."
            )
        self.name = f"{parts.scheme}://{parts.netloc}"
        self._parts = parts
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._timeout = timeout

    def append(
        self, records: Iterable[Answer | Judgement | Mapping[str, Any]]
    ) -> list[Receipt]:
        """See `FeedbackStore.append`.

        Raises:
            TokenRLError: the server cannot be reached or does not take them;
                whether something was stored is then not known, and the same
                records may be sent again.
        """
        body = json.dumps([_fields(record) for record in records])
        end = time.monotonic() + self._timeout
        pause = _PAUSE
        while True:
            try:
                status, reply = self._post(body, end - time.monotonic())
            except (OSError, http.client.HTTPException) as error:
                status, reply = 0, {"error": str(error) or repr(error)}
            if "results" in reply:
                return [Receipt(**result) for result in reply["results"]]
            wait = pause * random.uniform(0.5, 1.5)
            busy = status in (0, 429, 503)
            if not busy or time.monotonic() + wait >= end:
                raise TokenRLError(
                    f"The feedback server {self.name} did not store the "
                    f"records: {reply.get('error', f'HTTP {status}')}"
                )
            time.sleep(wait)
            pause *= 2

    def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, body: str, timeout: float) -> tuple[int, dict[str, Any]]:
        secure = self._parts.scheme == "https"
        kind = (
            http.client.HTTPSConnection
            if secure
            else (http.client.HTTPConnection)
        )
        assert self._parts.hostname is not None
        with contextlib.closing(
            kind(self._parts.hostname, self._parts.port, timeout=timeout)
        ) as connection:
            connection.request("POST", PATH, body.encode(), self._headers)
            response = connection.getresponse()
            data = response.read()
        try:
            reply = json.loads(data)
        except ValueError:
            reply = {}
        return response.status, reply if isinstance(reply, dict) else {}


Sink = FeedbackStore | RemoteStore


def connect(store: Sink | str, token: str = "") -> Sink:
    """A store from its URL: a database's, or that of a server.

    Raises:
        TokenRLError: see the two classes.
    """
    if not isinstance(store, str):
        return store
    if store.startswith(("http:", "https:")):
        return RemoteStore(store, token)
    return FeedbackStore(store)


def _fields(record: Answer | Judgement | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(record, Answer | Judgement):
        return record.fields()
    return dict(record)
