import asyncio
import socket
from concurrent import futures

import grpc
import pytest

from tests.support import served
from tf_tokenrl.client import AsyncClient, Client
from tf_tokenrl.serving import Flags, Server

CONFIG = """
model_config_list {{
  config {{
    name: "headline" base_path: "{base}/echo" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 1 }}
  }}
  config {{
    name: "half" base_path: "{base}/half" model_platform: "tensorflow"
  }}
}}
"""


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    base = tmp_path_factory.mktemp("models")
    served.put(base / "echo", 1, "echo")
    served.put(base / "echo", 2, "echo")
    served.put(base / "half", 7)
    config = base / "models.config"
    config.write_text(CONFIG.format(base=base))
    flags = Flags(
        model_config_file=str(config),
        port=0,
        allow_version_labels_for_unavailable_models=True,
    )
    with Server(flags) as server:
        yield f"localhost:{server.port}"


class Blocking:
    """An AsyncClient that is called as a Client is."""

    def __init__(self, *given, **options):
        async def make():
            return AsyncClient(*given, **options)

        self._runner = asyncio.Runner()
        try:
            self._client = self._runner.run(make())
        except BaseException:
            self._runner.close()
            raise

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *given, **options: self._runner.run(
            method(*given, **options)
        )

    def stream(self, *given, **options):
        pieces = self._client.stream(*given, **options)
        return self._stepped(pieces)

    def _stepped(self, pieces):
        try:
            while True:
                yield self._runner.run(anext(pieces))
        except StopAsyncIteration:
            return
        finally:
            self._runner.run(pieces.aclose())

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
        self._runner.close()


@pytest.fixture(params=[Client, Blocking], ids=["sync", "async"])
def kind(request):
    """Both clients: what holds for one holds for the other."""
    return request.param


@pytest.fixture
def client(kind, address):
    with kind(address, timeout=20) as opened:
        yield opened


@pytest.fixture
def half(kind, address):
    with kind(address, model="half", timeout=20) as opened:
        yield opened


@pytest.fixture
def nobody():
    """An address at which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


class Moody:
    """A server that fails with the codes it is given, then answers."""

    def __init__(self, address="127.0.0.1:0", credentials=None):
        self.moods, self.calls = [], []
        self._server = grpc.server(
            futures.ThreadPoolExecutor(1), handlers=[self._handler()]
        )
        if credentials:
            port = self._server.add_secure_port(address, credentials)
        else:
            port = self._server.add_insecure_port(address)
        named = address.startswith("unix:")
        self.address = address if named else f"127.0.0.1:{port}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *exception):
        self._server.stop(None).wait()

    def _handler(self):
        predict = grpc.unary_unary_rpc_method_handler(self._answer)
        return grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService", {"Predict": predict}
        )

    def _answer(self, request, context):
        self.calls.append(request)
        if self.moods:
            context.abort(self.moods.pop(0), "not now")
        return b""


@pytest.fixture
def moody():
    with Moody() as server:
        yield server
