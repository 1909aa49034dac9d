"""What the clients have in common: servers, a model, and patience."""

import abc
from collections.abc import Sequence
from types import ModuleType

from tf_tokenrl.client.attempts import Attempts
from tf_tokenrl.client.calls import Calls
from tf_tokenrl.client.servers import Servers
from tf_tokenrl.client.tls import TLS


class Base(abc.ABC):
    """A client that cannot ask yet; see `Client` for the arguments."""

    def __init__(
        self,
        address: str | Sequence[str] = "localhost:8500",
        model: str = "headline",
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
        max_message_bytes: int = 2**31 - 1,
        tls: TLS | None = None,
        tries: int = 5,
    ):
        self.model = model
        self.timeout = timeout
        self._tries = tries
        self._calls = Calls(model, version, label)
        self._servers = Servers(address)
        self._channels = self._servers.open(self._api(), tls, max_message_bytes)

    @abc.abstractmethod
    def _api(self) -> ModuleType:
        """The module whose channels are used: `grpc` or `grpc.aio`."""

    def _attempts(
        self, timeout: float | None, tries: int | None = None
    ) -> Attempts:
        return Attempts(
            self._servers,
            self.model,
            self.timeout if timeout is None else timeout,
            self._tries if tries is None else tries,
        )
