"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Unpack, overload

import grpc.aio
import numpy as np

from tf_tokenrl.client.attempts import Readiness
from tf_tokenrl.client.base import Base
from tf_tokenrl.client.calls import (
    Call,
    GenerationOptions,
    Rating,
    Result,
    StreamOptions,
)
from tf_tokenrl.client.errors import ServingError
from tf_tokenrl.client.replies import (
    Label,
    Piece,
    Reply,
    Score,
    Signature,
    Tags,
    VersionStatus,
)

if TYPE_CHECKING:
    from tf_tokenrl.client.rating import Sink
    from tf_tokenrl.feedback import Judgement


class AsyncClient(Base):
    """`Client` for one event loop: the same calls, awaited.

        async with AsyncClient("localhost:8500", "headline") as client:
            replies = await asyncio.gather(*map(client.generate, prompts))

    To cancel a call cancels it on the server too.

    Args:
        address: "host:port" or "unix:path"; several, with commas or as a
            list, are taken in turn.
        model: the name under which the model is served.
        version: which version; the newest by default.
        label: which version, by its label.
        timeout: seconds that one call may take, tries included.
        max_message_bytes: the longest message to send or to accept.
        tls: with what the connection is encrypted; not at all by default.
        feedback: a feedback store, or its URL, that keeps the answers of
            `generate`.
        tries: how often each address is tried.

    Raises:
        TokenRLError: see `Client`.
        RuntimeError: it is made where no event loop runs.
    """

    async def predict(
        self,
        inputs: Mapping[str, Any],
        signature: str = "serving_default",
        outputs: Iterable[str] | None = None,
        timeout: float | None = None,
    ) -> dict[str, np.ndarray]:
        """See `Client.predict`."""
        return await self._ask(
            self._calls.predict(inputs, signature, outputs), timeout
        )

    @overload
    async def generate(  # type: ignore[overload-overlap]
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        feedback: "Sink | str | None" = None,
        user: str = "",
        **options: Unpack[GenerationOptions],
    ) -> Reply: ...

    @overload
    async def generate(
        self,
        prompt: Sequence[str],
        *,
        timeout: float | None = None,
        feedback: "Sink | str | None" = None,
        user: str = "",
        **options: Unpack[GenerationOptions],
    ) -> list[Reply]: ...

    async def generate(
        self, prompt, *, timeout=None, feedback=None, user="", **options
    ):
        """See `Client.generate`."""
        call = self._calls.generate(prompt, **options)
        replies = await self._ask(call, timeout)
        sink = await asyncio.to_thread(self._sink, feedback)
        if sink is None:
            return replies
        return await asyncio.to_thread(
            self._record, sink, replies, options, user
        )

    async def rate(
        self,
        reply: Reply,
        *,
        feedback: "Sink | str | None" = None,
        **said: Unpack[Rating],
    ) -> "list[Judgement]":
        """See `Client.rate`."""
        return await asyncio.to_thread(self._judge, reply, feedback, dict(said))

    def stream(
        self,
        prompt: str,
        *,
        timeout: float | None = None,
        **options: Unpack[StreamOptions],
    ) -> AsyncIterator[Piece]:
        """See `Client.stream`."""
        return self._listen(self._calls.stream(prompt, **options), timeout)

    async def score(
        self,
        prompts: Sequence[str],
        answers: Sequence[str],
        timeout: float | None = None,
    ) -> list[Score]:
        """See `Client.score`."""
        return await self._ask(self._calls.score(prompts, answers), timeout)

    @overload
    async def tag(  # type: ignore[overload-overlap]
        self, text: str, timeout: float | None = None
    ) -> Tags: ...

    @overload
    async def tag(
        self, text: Sequence[str], timeout: float | None = None
    ) -> list[Tags]: ...

    async def tag(self, text, timeout=None):
        """See `Client.tag`."""
        return await self._ask(self._calls.tag(text), timeout)

    @overload
    async def classify(  # type: ignore[overload-overlap]
        self, text: str, timeout: float | None = None
    ) -> Label: ...

    @overload
    async def classify(
        self, text: Sequence[str], timeout: float | None = None
    ) -> list[Label]: ...

    async def classify(self, text, timeout=None):
        """See `Client.classify`."""
        return await self._ask(self._calls.classify(text), timeout)

    async def metadata(
        self, timeout: float | None = None
    ) -> dict[str, Signature]:
        """See `Client.metadata`."""
        return await self._ask(self._calls.metadata(), timeout)

    async def status(self, timeout: float | None = None) -> list[VersionStatus]:
        """See `Client.status`."""
        return await self._ask(self._calls.status(), timeout)

    async def wait_ready(self, seconds: float = 60.0) -> None:
        """See `Client.wait_ready`."""
        wait = Readiness(self._servers, self.model, seconds)
        while not wait.over:
            try:
                call = self._calls.status()
                wait.saw(await self._ask(call, wait.remaining, tries=1))
            except ServingError as error:
                wait.failed(error)
            await asyncio.sleep(wait.pause())

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels.values():
            await channel.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *exception) -> None:
        await self.close()

    async def _ask(
        self,
        call: Call[Result],
        timeout: float | None,
        tries: int | None = None,
    ) -> Result:
        if call.request is None:
            return call.read(None)
        attempts = self._attempts(timeout, tries)
        while True:
            method = call.on(self._channels[attempts.begin()])
            try:
                response = await method(
                    call.request, timeout=attempts.remaining
                )
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause(error))
            else:
                attempts.succeeded()
                return call.read(response)

    async def _listen(
        self, call: Call[Result], timeout: float | None
    ) -> AsyncIterator[Result]:
        attempts = self._attempts(timeout)
        answered = False
        while True:
            method = call.on(self._channels[attempts.begin()], streamed=True)
            stream = method(call.request, timeout=attempts.remaining)
            try:
                async for response in stream:
                    answered = True
                    yield call.read(response)
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause(error, answered))
            else:
                attempts.succeeded()
                return
            finally:
                stream.cancel()

    def _api(self) -> ModuleType:
        asyncio.get_running_loop()  # gRPC would make another one
        return grpc.aio
