"""The gRPC server: where it listens, how it encrypts, what it offers."""

import contextlib
import os
import socket
from collections.abc import Iterable
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.rpc.encryption import credentials
from tf_tokenrl.serving.rpc.handlers import PACKAGE, SERVICES, services

_FEWEST_CALLS = 64
_SPARE_THREADS = 8  # they tell those that come too many


class Listener:
    """Where and how to listen; what is wrong with it shows at once.

    Args:
        flags: host, port, socket, encryption and limits.

    Raises:
        TokenRLError: the flags cannot be used.
    """

    def __init__(self, flags: Flags):
        self._flags = flags
        self._options = _options(flags)
        self._credentials = credentials(flags)

    def check(self) -> None:
        """Fail before the models are loaded, which may take minutes.

        Raises:
            TokenRLError: what the flags name cannot be listened on.
        """
        flags = self._flags
        family = socket.AF_INET6 if ":" in flags.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((flags.host, flags.port))
            except OSError as error:
                reason = error.strerror or str(error)
                raise _cannot_listen(flags, reason) from error
        if flags.grpc_socket_path:
            folder = Path(flags.grpc_socket_path).absolute().parent
            if not folder.is_dir():
                raise TokenRLError(
                    f'--grpc_socket_path: there is no directory "{folder}".'
                )

    def open(
        self,
        repository: Repository,
        more: Iterable[grpc.GenericRpcHandler] = (),
    ) -> tuple[grpc.Server, int]:
        """A server that is bound, not yet started, and its port.

        Args:
            repository: the models.
            more: services beyond those of the stock server.

        Raises:
            TokenRLError: it cannot listen.
        """
        flags = self._flags
        calls = flags.grpc_max_threads
        if calls <= 0:
            calls = max(4 * (os.cpu_count() or 1), _FEWEST_CALLS)
        server = grpc.server(
            futures.ThreadPoolExecutor(
                calls + _SPARE_THREADS, thread_name_prefix="rpc"
            ),
            handlers=[*services(repository, calls), *more],
            options=self._options,
        )
        names = [f"{PACKAGE}.{name}" for name in SERVICES]
        if flags.enable_grpc_healthcheck_service:
            health_pb2_grpc.add_HealthServicer_to_server(_healthy(), server)
            names.append(health.SERVICE_NAME)
        names.append(reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        host = f"[{flags.host}]" if ":" in flags.host else flags.host
        port = self._bind(server, f"{host}:{flags.port}")
        if flags.grpc_socket_path:
            self._bind(server, f"unix:{flags.grpc_socket_path}")
        return server, port

    def _bind(self, server: grpc.Server, address: str) -> int:
        try:
            if self._credentials is None:
                return server.add_insecure_port(address)
            return server.add_secure_port(address, self._credentials)
        except RuntimeError as error:
            raise _cannot_listen(self._flags, str(error)) from error


def _healthy() -> health.HealthServicer:
    """The port opens when all models can answer, so all is well by then."""
    servicer = health.HealthServicer()
    for name in ("", *SERVICES):
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


def _options(flags: Flags) -> list[tuple[str, int | str]]:
    options: dict[str, int | str] = {
        "grpc.max_receive_message_length": 2**31 - 1,
        "grpc.max_send_message_length": 2**31 - 1,
        "grpc.so_reuseport": 0,
    }
    for argument in filter(None, flags.grpc_channel_arguments.split(",")):
        key, equals, value = argument.partition("=")
        if not equals:
            raise TokenRLError(
                f'--grpc_channel_arguments: "{argument}" is not key=value.'
            )
        options[key] = value
        with contextlib.suppress(ValueError):
            options[key] = int(value)
    return list(options.items())


def _cannot_listen(flags: Flags, reason: str) -> TokenRLError:
    return TokenRLError(
        f"Cannot listen on {flags.host}:{flags.port}: {reason}. Stop what "
        "holds the port, or choose another with --port (0 picks a free one)."
    )
