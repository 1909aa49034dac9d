"""Which server a call goes to."""

import json
import re
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from tf_tokenrl.client.tls import TLS
from tf_tokenrl.errors import TokenRLError

_ADDRESS = re.compile(r"unix(-abstract)?:\S+|(?!https?:)\S+:\d{1,5}")
_LARGEST_PORT = 65535
_LOOPBACK = re.compile(r"unix.*|(localhost|127(\.\d+){3}|\[::1\]):\d+")
_REST_SECONDS = 5.0  # in which a server that failed is asked last
_ALL_ADDRESSES_OF_A_NAME = json.dumps(
    {"loadBalancingConfig": [{"round_robin": {}}]}
)


class Servers:
    """Servers of the same models, taken in turn; one that fails rests.

    Note: gRPC can balance over one list of numeric addresses, but not over
    names, sockets and addresses of both kinds; so every address has a channel
    of its own here. Within a name that stands for several addresses (that of
    a headless Kubernetes service, for instance) gRPC balances.

    Args:
        address: "host:port" or "unix:path", several with commas or as a
            list.

    Raises:
        TokenRLError: one of them is no address.
    """

    def __init__(self, address: str | Sequence[str]):
        given = address.split(",") if isinstance(address, str) else address
        self.addresses = tuple(given)
        for each in self.addresses or ("",):
            port = each.rpartition(":")[2]
            if not _ADDRESS.fullmatch(each) or (
                not each.startswith("unix") and int(port) > _LARGEST_PORT
            ):
                raise TokenRLError(
                    f'"{each}" is no address: write HOST:PORT, for instance '
                    f"localhost:8500, with a port up to {_LARGEST_PORT}, or "
                    "unix:PATH."
                )
        self._lock = threading.Lock()
        self._turn = 0
        self._rested = dict.fromkeys(self.addresses, 0.0)

    def __str__(self) -> str:
        return ", ".join(self.addresses)

    def open(
        self, api: ModuleType, tls: TLS | None, max_message_bytes: int
    ) -> dict[str, Any]:
        """A channel to each address.

        Args:
            api: `grpc` or `grpc.aio`.
        """
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", max_message_bytes),
            ("grpc.max_receive_message_length", max_message_bytes),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.service_config", _ALL_ADDRESSES_OF_A_NAME),
        ]
        if tls is None:
            return {
                address: api.insecure_channel(
                    address, options + _directly(address)
                )
                for address in self.addresses
            }
        options += tls.options()
        credentials = tls.credentials()
        return {
            address: api.secure_channel(
                address, credentials, options + _directly(address)
            )
            for address in self.addresses
        }

    def pick(self) -> str:
        """The next address; among those that rest, the most rested."""
        now = time.monotonic()
        awake = [a for a in self.addresses if self._rested[a] <= now]
        if not awake:
            return min(self.addresses, key=self._rested.__getitem__)
        with self._lock:
            self._turn += 1
            return awake[self._turn % len(awake) - 1]

    def failed(self, address: str) -> None:
        """Nobody answered there."""
        self._rested[address] = time.monotonic() + _REST_SECONDS

    def answered(self, address: str) -> None:
        """Somebody did."""
        self._rested[address] = 0.0


def is_loopback(address: str) -> bool:
    """Whether an address is on this machine, by the way it is written."""
    return _LOOPBACK.fullmatch(address) is not None


def _directly(address: str) -> list[tuple[str, Any]]:
    """No proxy of the environment leads back to this machine."""
    return [("grpc.enable_http_proxy", 0)] if is_loopback(address) else []
