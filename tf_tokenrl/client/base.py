"""What the clients have in common: servers, a model, and patience."""

import abc
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tf_tokenrl.client.attempts import Attempts, seconds
from tf_tokenrl.client.calls import Calls
from tf_tokenrl.client.replies import Reply
from tf_tokenrl.client.servers import Servers
from tf_tokenrl.client.tls import TLS
from tf_tokenrl.errors import TokenRLError

if TYPE_CHECKING:
    from tf_tokenrl.client.rating import Sink
    from tf_tokenrl.feedback import Judgement


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
        feedback: "Sink | str | None" = None,
    ):
        self.model = model
        self.timeout = seconds(timeout)
        self._tries = tries
        self._calls = Calls(model, version, label)
        self._servers = Servers(address)
        self._channels = self._servers.open(self._api(), tls, max_message_bytes)
        self._feedback = feedback

    def _sink(self, feedback: "Sink | str | None") -> "Sink | None":
        """Where feedback goes; the last one given is used again."""
        self._feedback = feedback or self._feedback
        if self._feedback is None:
            return None
        from tf_tokenrl.client import rating  # loads a database's driver

        self._feedback = rating.connect(self._feedback)
        return self._feedback

    def _record(
        self,
        sink: "Sink",
        replies: Reply | list[Reply],
        options: Mapping[str, Any],
        user: str,
    ) -> Reply | list[Reply]:
        from tf_tokenrl.client import rating

        one = isinstance(replies, Reply)
        some = [replies] if isinstance(replies, Reply) else replies
        label = self._calls.label or ""
        kept = rating.record(sink, some, options, label, user)
        return kept[0] if one else kept

    def _judge(
        self, reply: Reply, feedback: "Sink | str | None", said: dict[str, Any]
    ) -> "list[Judgement]":
        sink = self._sink(feedback)
        if sink is None:
            raise TokenRLError(
                "There is no feedback store to rate in: give feedback=URL."
            )
        from tf_tokenrl.client import rating

        return rating.judge(sink, reply, **said)

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
