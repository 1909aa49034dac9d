"""The process: models loaded, port opened, signals obeyed."""

import functools
import logging
import os
import signal
import socket
from concurrent import futures

import grpc
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.config import configured_models
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.handlers import services
from tf_tokenrl.serving.repository import Repository
from tf_tokenrl.serving.servable import Servable, disable_xla

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
        self._repository = Repository(
            configured_models(flags),
            functools.partial(
                Servable,
                tags=flags.saved_model_tags.split(","),
                config=_session_config(flags),
            ),
            flags,
        )
        self._grpc: grpc.Server | None = None
        self.port = flags.port

    def start(self) -> None:
        """Load every model, then open the port.

        Raises:
            TokenRLError: a model has failed for good, or the port is taken.
        """
        self._probe()
        try:
            self._repository.start()
            self._grpc, self.port = self._listen()
        except BaseException:
            self._repository.stop()
            raise
        self._grpc.start()

    def wait(self) -> None:
        """Return when the server has been stopped."""
        if self._grpc is not None:
            self._grpc.wait_for_termination()

    def stop(self, grace: float = _DRAIN_SECONDS) -> None:
        """Take no more requests, finish those begun, unload the models.

        Args:
            grace: seconds after which unfinished requests are cancelled.
        """
        try:
            if self._grpc is not None:
                self._grpc.stop(grace).wait(grace)
        finally:
            self._repository.stop()

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *exception) -> None:
        self.stop()

    def _probe(self) -> None:
        """Fail before the models are loaded, which may take minutes."""
        flags = self._flags
        family = socket.AF_INET6 if ":" in flags.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((flags.host, flags.port))
            except OSError as error:
                raise _cannot_listen(flags, error.strerror or str(error)) from (
                    error
                )

    def _listen(self) -> tuple[grpc.Server, int]:
        flags = self._flags
        threads = flags.grpc_max_threads or 4 * (os.cpu_count() or 1)
        server = grpc.server(
            futures.ThreadPoolExecutor(threads, thread_name_prefix="rpc"),
            handlers=services(self._repository),
            options=_grpc_options(flags),
        )
        host = f"[{flags.host}]" if ":" in flags.host else flags.host
        try:
            port = server.add_insecure_port(f"{host}:{flags.port}")
        except RuntimeError as error:
            raise _cannot_listen(flags, str(error)) from error
        return server, port


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
        with Server(flags) as server:
            address = f"{flags.host}:{server.port}"
            print(f"Running gRPC ModelServer at {address} ...", flush=True)
            try:
                server.wait()
            except KeyboardInterrupt:
                logger.info("Stopping: finishing the requests begun.")
    except KeyboardInterrupt:
        logger.info("Stopped.")


def _session_config(flags: Flags) -> tf.compat.v1.ConfigProto:
    both = flags.tensorflow_session_parallelism
    return tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=flags.tensorflow_intra_op_parallelism
        or both,
        inter_op_parallelism_threads=flags.tensorflow_inter_op_parallelism
        or both,
        allow_soft_placement=True,
    )


def _grpc_options(flags: Flags) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", 2**31 - 1),
        ("grpc.max_send_message_length", 2**31 - 1),
        ("grpc.so_reuseport", 0),
    ]
    for argument in filter(None, flags.grpc_channel_arguments.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise TokenRLError(
                f'--grpc_channel_arguments: "{argument}" is not key=value.'
            )
        options.append((key, int(value) if value.isdecimal() else value))
    return options


def _cannot_listen(flags: Flags, reason: str) -> TokenRLError:
    return TokenRLError(
        f"Cannot listen on {flags.host}:{flags.port}: {reason}. Stop what "
        "holds the port, or choose another with --port (0 picks a free one)."
    )
