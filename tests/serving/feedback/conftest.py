import contextlib
import http.client
import json

import pytest

from tf_tokenrl.feedback import FeedbackStore
from tf_tokenrl.serving.feedback.guard import Guard
from tf_tokenrl.serving.feedback.routes import Collector, Limits
from tf_tokenrl.serving.http.server import HttpServer

SECONDS = 30


@pytest.fixture
def store(tmp_path):
    with FeedbackStore(f"sqlite:///{tmp_path}/feedback.db") as opened:
        yield opened


@pytest.fixture
def serving():
    """From a store and options to the port of a server of its own."""
    with contextlib.ExitStack() as stack:

        def start(store, token="", limits=Limits(), hosts=()):  # noqa: B008
            collector = Collector(store, Guard(hosts, token), limits)
            server = HttpServer(collector.routes(bool(token)), "127.0.0.1", 0)
            server.bind()
            server.start()
            stack.callback(server.close, 0)
            return server.port

        yield start


@pytest.fixture
def send():
    """One request: status, JSON and headers of the answer."""

    def send(port, body, method="POST", path="/v1/feedback/records", **headers):
        connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=SECONDS
        )
        with contextlib.closing(connection):
            if not isinstance(body, bytes | None):
                body = json.dumps(body).encode()
            given = {"Content-Type": "application/json"}
            given |= {k.replace("_", "-"): v for k, v in headers.items()}
            if method == "GET":
                del given["Content-Type"]
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            data = answer.read()
            return answer.status, json.loads(data), dict(answer.getheaders())

    return send
