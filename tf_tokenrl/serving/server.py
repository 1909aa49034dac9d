"""The process: models loaded, port opened, signals obeyed."""

import gc
import logging
import signal

import grpc
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.batching import batcher_for
from tf_tokenrl.serving.config import configuration
from tf_tokenrl.serving.feedback.embedded import feedback_for
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.generation import Extensions, extensions
from tf_tokenrl.serving.http.routes import http_server
from tf_tokenrl.serving.introspection import Introspection
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable, disable_xla
from tf_tokenrl.serving.models.session_config import session_config
from tf_tokenrl.serving.rpc.handlers import PACKAGE, SERVICES
from tf_tokenrl.serving.rpc.listener import Listener, cannot_listen
from tf_tokenrl.serving.rpc.reload import ConfigFile
from tf_tokenrl.serving.rpc.warmup import warm_up

logger = logging.getLogger(__name__)
_DRAIN_SECONDS = 30.0


class Server:
    """An embedded server; as a context manager it runs within the block.

    Note: XLA stays as the process has it, for to disable it could not be
    undone. `serve`, which owns its process, does disable it.

    Args:
        flags: those of the real server.

    Raises:
        TokenRLError: the flags name nothing that can be served.
    """

    def __init__(self, flags: Flags):
        self._flags = flags
        self._session_config = session_config(flags)
        self._listener = Listener(flags)
        self._repository = Repository(configuration(flags), self._load, flags)
        self._extensions = extensions(flags, self._repository)
        self._feedback = feedback_for(flags, lambda: self.port)
        routes = (*self._extensions.routes, *self._feedback.routes)
        self._http = http_server(flags, self._repository, routes, self._give_up)
        self._introspection = introspection(flags, self._extensions)
        self._batcher = batcher_for(flags)
        self._config_file: ConfigFile | None = None
        self._grpc: grpc.Server | None = None
        self._failed = False
        self.port = flags.port
        self.http_port = 0

    def start(self) -> None:
        """Load every model, then open the port.

        Raises:
            TokenRLError: a model has failed for good, or the port is taken.
        """
        self._listener.check()
        try:
            self._bind_http()
            self._repository.start()
            self._grpc, self.port = self._listener.open(
                self._repository,
                self._introspection,
                self._extensions.handlers,
            )
            self._grpc.start()
            if self._http is not None:
                self._http.start()
        except BaseException:
            self.stop(0)
            raise
        self._watch_config_file()

    def wait(self) -> None:
        """Return when the server has been stopped.

        Raises:
            TokenRLError: a part of it has failed.
        """
        if self._grpc is not None:
            self._grpc.wait_for_termination()
        if self._failed:
            raise TokenRLError(
                "A part of the server has failed; see the log above."
            )

    def stop(self, grace: float = _DRAIN_SECONDS) -> None:
        """Take no more requests, finish those begun, unload the models.

        Args:
            grace: seconds after which unfinished requests are cancelled.
        """
        if self._config_file is not None:
            self._config_file.stop()
        self._introspection.end()
        try:
            stopped = self._grpc.stop(grace) if self._grpc else None
            if self._http is not None:
                self._http.close(grace)
            if stopped is not None:
                stopped.wait(grace)
        finally:
            self._close()

    def _bind_http(self) -> None:
        if self._http is None:
            return
        try:
            self._http.bind()
        except OSError as error:
            raise cannot_listen(
                self._flags.host, self._http.port, "rest_api_port", error
            ) from error
        self.http_port = self._http.port

    def _give_up(self) -> None:
        """End the process, for half a server helps nobody: `wait` returns."""
        self._failed = True
        if self._grpc is not None:
            self._grpc.stop(0)

    def _close(self) -> None:
        self._repository.stop()
        if self._batcher is not None:
            self._batcher.close()
        self._feedback.close()

    def _load(self, path: str) -> Servable:
        servable = Servable(
            path, self._flags.saved_model_tags.split(","), self._session_config
        )
        try:
            if self._batcher is not None:
                servable = self._batcher.wrap(servable, path)
            warm_up(servable, path, self._flags)
        except BaseException:
            servable.close()
            raise
        return servable

    def _watch_config_file(self) -> None:
        path = self._flags.model_config_file
        seconds = self._flags.model_config_file_poll_wait_seconds
        if path and seconds > 0:
            self._config_file = ConfigFile(path, seconds, self._repository)
            self._config_file.start()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exception) -> None:
        self.stop()


def introspection(flags: Flags, more: Extensions) -> Introspection:
    """What the server says of itself."""
    return Introspection(
        [f"{PACKAGE}.{name}" for name in SERVICES] + list(more.services),
        more.pool,
        ("", *SERVICES) if flags.enable_grpc_healthcheck_service else None,
    )


def serve(flags: Flags) -> None:
    """Serve until SIGINT or SIGTERM, then finish the requests begun.

    Raises:
        TokenRLError: see `Server`.
    """
    logging.basicConfig(format="%(message)s")
    logging.getLogger("tf_tokenrl").setLevel(logging.INFO)
    tf.get_logger().setLevel(logging.WARNING)
    if not (
        flags.xla_cpu_compilation_enabled or flags.xla_gpu_compilation_enabled
    ):
        disable_xla()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        gc.freeze()  # TensorFlow's objects stay: collect around them
        with Server(flags) as server:
            address = f"{flags.host}:{server.port}"
            print(f"Running gRPC ModelServer at {address} ...", flush=True)
            if server.http_port:
                address = f"{flags.host}:{server.http_port}"
                print(f"Exporting HTTP/REST API at {address} ...", flush=True)
            try:
                server.wait()
            except KeyboardInterrupt:
                logger.info("Stopping: finishing the requests begun.")
    except KeyboardInterrupt:
        logger.info("Stopped.")
