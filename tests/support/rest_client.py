"""Requests to the REST port of a running server."""

import http.client
import json

from tests.support.asking import SECONDS


class Client:
    """Requests on one connection; what comes is left as it came."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection(
            "127.0.0.1", port, timeout=SECONDS
        )
        self.headers = {}

    def ask(self, method, path, body=None, headers=()):
        """The code and the body of the answer."""
        if isinstance(body, str):
            body = body.encode()
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self._connection.request(method, path, body, dict(headers))
        response = self._connection.getresponse()
        self.headers = dict(response.getheaders())
        return response.status, response.read()

    def close(self):
        self._connection.close()

    def post(self, path, body):
        """The code, and what the answer says."""
        code, text = self.ask("POST", f"/v1/models/{path}", body)
        return code, json.loads(text)

    def get(self, path):
        code, text = self.ask("GET", f"/v1/models/{path}")
        return code, json.loads(text)
