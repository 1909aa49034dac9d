"""Continuous batching: one loop per version, one batch of answers.

Between two advances of a few tokens answers that are complete or no longer
wanted leave the batch, and those that wait join it. A row's answer does not
depend on who else is in the batch.
"""

import collections
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import grpc

from tf_tokenrl.serving.generation import measures
from tf_tokenrl.serving.generation.convention import (
    DecodedChunk,
    Generator,
    State,
    join,
    take,
)
from tf_tokenrl.serving.generation.pending_request import PendingRequest, Row
from tf_tokenrl.serving.status import StatusError


class Settings(NamedTuple):
    """How a loop batches.

    Attributes:
        slots: the most answers that are written side by side.
        steps: tokens between two chances to join or leave.
        longest_queue: answers that may wait; more are refused.
    """

    slots: int = 16
    steps: int = 4
    longest_queue: int = 256


class Loop:
    """Writes the answers of one version.

    The thread lives for as long as there is something to write.
    """

    def __init__(self, generator: Generator, settings: Settings):
        self._generator = generator
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: collections.deque[PendingRequest] = collections.deque()
        self._queued = 0
        self._running = False
        self._rows: list[Row] = []  # of the thread alone, as the state is
        self._state: State = {}

    @property
    def idle(self) -> bool:
        """True while there is nothing to write."""
        return not self._running

    def submit(self, pending: PendingRequest) -> None:
        """Queue the answers of one request.

        Raises:
            StatusError: RESOURCE_EXHAUSTED, too many wait already.
        """
        count = len(pending.waiting)
        with self._lock:
            if self._queued + count > self._settings.longest_queue:
                raise StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._queued} answers are waiting to be written, and "
                    f"at most {self._settings.longest_queue} may: try again "
                    "later.",
                )
            self._waiting.append(pending)
            self._count_queued(count)
            if not self._running:
                self._running = True
                threading.Thread(
                    target=self._run, name="generation", daemon=True
                ).start()

    def _run(self) -> None:
        while True:
            self._leave(row.pending.cancelled for row in self._rows)
            joining = self._next_rows()
            if joining is None:
                return
            self._attempt(self._begin, joining)
            self._attempt(self._advance, self._rows)

    def _attempt(self, act: Callable, rows: list[Row]) -> None:
        """Act for rows; what goes wrong is told to those concerned."""
        if not rows:
            return
        try:
            act(rows)
        except Exception as error:
            for row in rows:
                row.pending.cancelled = True
                row.pending.emit(StatusError.of(error))

    def _next_rows(self) -> list[Row] | None:
        """Rows that may join, in turn of their requests; None: all done."""
        free = self._settings.slots - len(self._rows)
        rows: list[Row] = []
        with self._lock:
            while self._waiting and len(rows) < free:
                pending = self._waiting.popleft()
                if pending.cancelled or not pending.waiting:
                    self._count_queued(-len(pending.waiting))
                    continue
                rows.append(pending.waiting.popleft())
                self._count_queued(-1)
                if pending.waiting:
                    self._waiting.append(pending)
            self._running = bool(rows or self._rows)
        return rows if self._running else None

    def _begin(self, rows: list[Row]) -> None:
        """Read prompts and write their first tokens; those who go on join."""
        begun = self._generator.begin([row.request for row in rows])
        for place, row in enumerate(rows):
            row.prompt_tokens = int(begun.prompt_tokens[place])
            row.truncated = bool(begun.truncated[place])
            measures.FIRST_TOKEN.observe(time.monotonic() - row.asked)
        done = self._emit(rows, begun.chunk)
        stay = [place for place, ended in enumerate(done) if not ended]
        if not stay:
            return
        state = take(begun.state, stay)
        self._state = join(self._state, state) if self._rows else state
        self._rows += [rows[place] for place in stay]
        measures.SLOTS.inc(len(stay))

    def _advance(self, rows: list[Row]) -> None:
        self._state, chunk = self._generator.advance(
            self._state, self._settings.steps
        )
        self._leave(self._emit(rows, chunk))

    def _emit(self, rows: list[Row], chunk: DecodedChunk) -> list[bool]:
        """Hand on what was written; which of the answers are complete."""
        now, done = time.monotonic(), []
        for place, row in enumerate(rows):
            piece = row.take(chunk, place)
            for _ in piece.tokens[1 if row.heard == row.asked else 0 :]:
                measures.BETWEEN_TOKENS.observe(
                    (now - row.heard) / len(piece.tokens)
                )
            row.heard = now
            measures.TOKENS.inc(len(piece.tokens))
            row.pending.emit(piece)
            done.append(bool(piece.finish))
        return done

    def _leave(self, gone: Iterable[bool]) -> None:
        stay = [place for place, leaves in enumerate(gone) if not leaves]
        measures.SLOTS.dec(len(self._rows) - len(stay))
        if stay:
            self._state = take(self._state, stay)
        else:
            self._state = {}
        self._rows = [self._rows[place] for place in stay]

    def _count_queued(self, change: int) -> None:
        self._queued += change
        measures.QUEUE.inc(change)
