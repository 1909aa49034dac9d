"""A request in a loop, and how its pieces come back."""

import asyncio
import collections
import contextlib
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import NamedTuple

import grpc

from tf_tokenrl.serving.generation.answer import Answer, token_texts
from tf_tokenrl.serving.generation.convention import (
    DecodedChunk,
    GenerationRequest,
)
from tf_tokenrl.serving.status import StatusError


class Token(NamedTuple):
    """One token of an answer: log-prob in nats, value of the state before."""

    id: int
    log_prob: float
    value: float
    text: bytes


class Piece(NamedTuple):
    """What is new of one answer.

    Attributes:
        row: which of the request's answers.
        text: its new characters.
        tokens: its new tokens; their characters may be held back.
        finish: "" while it goes on, else "stop" or "length".
        prompt_tokens: tokens of its prompt.
        truncated: the prompt was cut.
    """

    row: int
    text: str
    tokens: tuple[Token, ...]
    finish: str
    prompt_tokens: int
    truncated: bool


class Row:
    """One answer of a request.

    Attributes:
        asked, heard: when it was asked for, and when its last token came.
    """

    def __init__(
        self, pending: "PendingRequest", index: int, request: GenerationRequest
    ):
        self.pending, self.request = pending, request
        self.prompt_tokens, self.truncated = 0, False
        self.asked = self.heard = time.monotonic()
        self._index = index
        self._answer = Answer(request.stop)
        self._text = b""

    def take(self, chunk: DecodedChunk, place: int) -> Piece:
        """Go on by what was written in the row at `place`."""
        count = int(chunk.counts[place])
        texts = list(chunk.texts[place, :count]) or [self._text]
        ended, stopped = bool(chunk.ended[place]), bool(chunk.stopped[place])
        emitted = self._answer.add(texts, ended, stopped)
        kept = min(emitted.tokens, count)
        added = token_texts(self._text, texts[:kept], bool(emitted.finish))
        self._text = texts[-1]
        columns = (chunk.token_ids, chunk.log_probs, chunk.values)
        numbers = [column[place, :kept].tolist() for column in columns]
        return Piece(
            self._index,
            emitted.text,
            tuple(map(Token, *numbers, added)),
            emitted.finish,
            self.prompt_tokens,
            self.truncated,
        )


class PendingRequest:
    """Iterate over the pieces of a request's answers, or cancel it.

    Attributes:
        waiting: the answers that no loop has begun.
        cancelled: nobody wants the rest.
        held: what the work needs (a version that stays loaded, for one);
            closed when the last answer has left the loop, however it ends
            and whether or not somebody still listens.
    """

    def __init__(self, requests: Sequence[GenerationRequest]):
        self.waiting = collections.deque(
            Row(self, index, request) for index, request in enumerate(requests)
        )
        self.cancelled = False
        self.held = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._cancel: Callable[[PendingRequest], object] | None = None
        self._unfinished = self._in_work = len(self.waiting)
        self._pieces: queue.SimpleQueue = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Piece]:
        """The pieces of all answers, as they come.

        Raises:
            StatusError: the model failed, or the request was cancelled.
        """
        while self._unfinished:
            yield self._counted(self._pieces.get())

    def emit(self, piece: Piece | StatusError) -> None:
        """Hand on a piece, or what went wrong; from any thread."""
        self._pieces.put(piece)

    def cancel(self) -> None:
        """Nobody wants the rest; the slots are free at the next advance."""
        self.fail(StatusError(grpc.StatusCode.CANCELLED, "CANCELLED"))

    def fail(self, error: StatusError) -> None:
        """Say what went wrong; whoever listens gets nothing after it."""
        with self._lock:
            first, self.cancelled = not self.cancelled, True
            listener = self._cancel
        if first:
            self.emit(error)
            if listener is not None:
                listener(self)

    def when_cancelled(self, listener: "Callable[[PendingRequest], object]"):
        """Have the listener called by the first `cancel` or `fail`."""
        with self._lock:
            self._cancel = listener
            late = self.cancelled
        if late:
            listener(self)

    def left(self, count: int) -> None:
        """Count answers that the loop has let go of."""
        with self._lock:
            self._in_work -= count
            done = not self._in_work
        if done:
            self.held.close()

    def _counted(self, piece: Piece | StatusError) -> Piece:
        if isinstance(piece, StatusError):
            raise piece
        self._unfinished -= bool(piece.finish)
        return piece


class AsyncPendingRequest(PendingRequest):
    """The same for a coroutine, which iterates with `async for`."""

    def __init__(self, requests: Sequence[GenerationRequest]):
        super().__init__(requests)
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """See `PendingRequest.__iter__`."""
        while self._unfinished:
            yield self._counted(await self._arrived.get())

    def emit(self, piece: Piece | StatusError) -> None:
        """See `PendingRequest.emit`."""
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._arrived.put_nowait, piece)
