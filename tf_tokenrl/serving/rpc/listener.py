"""The gRPC server: where it listens, how it encrypts, what it offers."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from concurrent import futures
from pathlib import Path

import grpc

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.introspection import Introspection
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.rpc.encryption import credentials
from tf_tokenrl.serving.rpc.handlers import services

_FEWEST_CALLS = 64
_LONGEST_SOCKET_PATH = 107  # bytes: what the kernel has room for, less a NUL
_FREE = {"port": 0, "rest_api_port": -1}
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
                raise cannot_listen(
                    flags.host, flags.port, "port", error
                ) from error
        if flags.grpc_socket_path:
            _check_socket_path(flags.grpc_socket_path)

    def open(
        self,
        repository: Repository,
        introspection: Introspection,
        more: Iterable[grpc.GenericRpcHandler] = (),
    ) -> tuple[grpc.Server, int]:
        """A server that is bound, not yet started, and its port.

        Args:
            repository: the models.
            introspection: what it says of itself.
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
        introspection.add_to(server)
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
        except RuntimeError as error:  # what `check` did not foresee
            raise TokenRLError(
                f'gRPC cannot listen on "{address}": {error}.'
            ) from error


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


def cannot_listen(
    host: str, port: int, flag: str, error: OSError
) -> TokenRLError:
    """Why a port could not be taken, and what to do about it.

    Args:
        flag: that of the port, without its dashes.
    """
    reason = error.strerror or str(error)
    remedies = {
        errno.EADDRINUSE: "Stop what holds the port, or choose another with "
        f"--{flag} ({_FREE[flag]} picks a free one)",
        errno.EACCES: f"Choose a port above 1023 with --{flag}",
        errno.EADDRNOTAVAIL: "Name an address of this machine with --host",
    }
    remedy = remedies.get(error.errno or 0, "Correct --host")
    return TokenRLError(f"Cannot listen on {host}:{port}: {reason}. {remedy}.")


def _check_socket_path(path: str) -> None:
    place = Path(path).absolute()
    reason = ""
    if not place.parent.is_dir():
        reason = f'there is no directory "{place.parent}"'
    elif not os.access(place.parent, os.W_OK | os.X_OK):
        reason = f'nothing may be written in "{place.parent}"'
    elif place.exists() and not place.is_socket():
        reason = f'"{path}" is something else than a socket'
    elif len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        reason = f"a path may have {_LONGEST_SOCKET_PATH} bytes at most"
    if reason:
        raise TokenRLError(f"--grpc_socket_path: {reason}.")
