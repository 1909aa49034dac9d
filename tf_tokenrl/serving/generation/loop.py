"""Continuous batching: one loop per version, one batch of answers.

Between two advances of a few tokens answers that are complete or no longer
wanted leave the batch, and those that wait join it. A row's answer does not
depend on who else is in the batch.

What is counted and limited is the work, not who waits for it: an answer that
nobody wants any more keeps its slot until the loop has let go of it.
"""

import collections
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import grpc

from tf_tokenrl.serving.generation import measures
from tf_tokenrl.serving.generation.convention import (
    Begun,
    DecodedChunk,
    Generator,
    PromptTooLong,
    State,
    join,
    take,
)
from tf_tokenrl.serving.generation.pending_request import PendingRequest, Row
from tf_tokenrl.serving.status import StatusError

logger = logging.getLogger(__name__)

# Reading a prompt takes time in proportion to its length; one of this many
# bytes takes about as long as an advance of the batch that would wait for it.
_LONG_PROMPT = 16 * 2**10


class Settings(NamedTuple):
    """How a loop batches.

    Attributes:
        slots: the most answers that are written side by side.
        steps: tokens between two chances to join or leave.
        longest_queue: answers that may wait; more are refused.
        longest_prompt: bytes; a longer one is refused.
    """

    slots: int = 16
    steps: int = 4
    longest_queue: int = 256
    longest_prompt: int = 2**20

    @property
    def long_prompts(self) -> int:
        """The most long prompts that are read at one time."""
        return max(self.slots // 4, 1)


class _Read(NamedTuple):
    """A long prompt that has been read, or why it could not be."""

    row: Row
    begun: Begun | StatusError


class _Joining(NamedTuple):
    """Rows whose prompts are to be read now, and those that were read."""

    rows: list[Row]
    read: list[_Read]


class Loop:
    """Writes the answers of one version.

    The thread lives for as long as there is something to write. Long prompts
    are read in threads of their own, so that nobody else waits for them.
    """

    def __init__(self, generator: Generator, settings: Settings):
        self._generator = generator
        self._settings = settings
        self._changed = threading.Condition()  # guards what follows
        self._waiting: collections.deque[PendingRequest] = collections.deque()
        self._queued = 0
        self._running = False
        self._reading = 0  # long prompts, until they are in `_read`
        self._read: list[_Read] = []
        self._rows: list[Row] = []  # of the thread alone, as the state is
        self._state: State = {}
        self._told_of_cuts = False

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
        with self._changed:
            if self._queued + count > self._settings.longest_queue:
                raise StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{self._queued} answers are waiting to be written, and "
                    f"at most {self._settings.longest_queue} may: try again "
                    "later.",
                )
            self._waiting.append(pending)
            self._count_queued(count)
            if self._running:
                self._changed.notify()
            else:
                self._running = True
                threading.Thread(
                    target=self._run, name="generation", daemon=True
                ).start()
        pending.when_cancelled(self._withdraw)

    def _withdraw(self, pending: PendingRequest) -> None:
        """Take what has not begun out of the queue."""
        with self._changed:
            if pending not in self._waiting:
                return
            self._waiting.remove(pending)
            count = len(pending.waiting)
            pending.waiting.clear()
            self._count_queued(-count)
        pending.left(count)

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:  # a defect of ours, and somebody waits
            logger.exception("Continuous batching has failed")
            self._give_up(StatusError.of(error))

    def _step(self) -> bool:
        """One advance of the batch; False when there is nothing to write."""
        self._leave(row.pending.cancelled for row in self._rows)
        joining = self._next_rows()
        if joining is None:
            return False
        for each in joining.read:
            self._join_read(each)
        self._begin(joining.rows)
        self._advance()
        return True

    def _give_up(self, error: StatusError) -> None:
        """Tell all who wait, and be ready for a new start."""
        with self._changed:
            waiting, self._rows, rows = list(self._waiting), [], self._rows
            self._running = False
        self._fail(rows, error)
        self._part(rows)
        for pending in waiting:
            pending.fail(error)

    def _next_rows(self) -> _Joining | None:
        """Who may join now; waits while long prompts are read, None: done."""
        with self._changed:
            while True:
                read, self._read = self._read, []
                taken = len(self._rows) + len(read) + self._reading
                rows = self._pick(self._settings.slots - taken)
                if rows or read or self._rows:
                    return _Joining(rows, read)
                if not self._reading:
                    self._running = False
                    return None
                self._changed.wait()

    def _pick(self, free: int) -> list[Row]:
        """Rows that may join, in turn of their requests.

        Long prompts among them are handed to threads of their own instead.
        """
        rows: list[Row] = []
        passed: list[PendingRequest] = []
        while self._waiting and free > 0:
            pending = self._waiting.popleft()
            is_long = len(pending.waiting[0].request.prompt) > _LONG_PROMPT
            full = is_long and self._reading >= self._settings.long_prompts
            if full or pending.cancelled:  # `_withdraw` is about to take it
                passed.append(pending)
                continue
            row = pending.waiting.popleft()
            if pending.waiting:
                self._waiting.append(pending)
            self._count_queued(-1)
            measures.SLOTS.inc()
            free -= 1
            if is_long:
                self._reading += 1
                threading.Thread(
                    target=self._read_aside, args=[row], name="prompt"
                ).start()
            else:
                rows.append(row)
        self._waiting.extendleft(reversed(passed))
        return rows

    def _read_aside(self, row: Row) -> None:
        begun: Begun | StatusError
        try:
            begun = self._generator.begin([row.request])
        except Exception as error:
            begun = StatusError.of(error)
        with self._changed:
            self._reading -= 1
            self._read.append(_Read(row, begun))
            self._changed.notify()

    def _join_read(self, each: _Read) -> None:
        if isinstance(each.begun, StatusError):
            self._fail([each.row], each.begun)
            self._part([each.row])
        else:
            self._join([each.row], each.begun)

    def _begin(self, rows: list[Row]) -> None:
        """Read prompts and write their first tokens; those who go on join."""
        if not rows:
            return
        try:
            begun = self._generator.begin([row.request for row in rows])
        except Exception as error:
            if len(rows) > 1:  # whose fault it is shows when each is alone
                for row in rows:
                    self._begin([row])
                return
            self._fail(rows, StatusError.of(error))
            self._part(rows)
        else:
            self._join(rows, begun)

    def _join(self, rows: list[Row], begun: Begun) -> None:
        for place, row in enumerate(rows):
            row.prompt_tokens = int(begun.prompt_tokens[place])
            row.truncated = bool(begun.truncated[place])
            if row.truncated:
                self._note_cut(row)
            measures.FIRST_TOKEN.observe(time.monotonic() - row.asked)
        done = self._emit(rows, begun.chunk)
        stay = [place for place, ended in enumerate(done) if not ended]
        self._part(row for row, ended in zip(rows, done, strict=True) if ended)
        if not stay:
            return
        state = take(begun.state, stay)
        self._state = join(self._state, state) if self._rows else state
        self._rows += [rows[place] for place in stay]

    def _note_cut(self, row: Row) -> None:
        measures.TRUNCATED.inc()
        if row.request.whole_prompt:
            row.pending.fail(
                PromptTooLong(
                    "The prompt is longer than this model reads, "
                    f"{row.prompt_tokens} tokens: shorten it."
                )
            )
        elif not self._told_of_cuts:  # once, for clients could fill the log
            self._told_of_cuts = True
            logger.warning(
                "A prompt was cut to the %d tokens that the model reads. "
                "Replies say so, and tf_tokenrl_truncated_prompts_total "
                "counts them.",
                row.prompt_tokens,
            )

    def _advance(self) -> None:
        rows = self._rows
        if not rows:
            return
        try:
            self._state, chunk = self._generator.advance(
                self._state, self._settings.steps
            )
            done = self._emit(rows, chunk)
        except Exception as error:
            self._fail(rows, StatusError.of(error))
            done = [True] * len(rows)
        self._leave(done)

    def _emit(self, rows: Sequence[Row], chunk: DecodedChunk) -> list[bool]:
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

    def _fail(self, rows: Iterable[Row], error: StatusError) -> None:
        for row in rows:
            row.pending.fail(error)

    def _leave(self, gone: Iterable[bool]) -> None:
        gone = list(gone)
        if not any(gone):
            return
        stay = [place for place, leaves in enumerate(gone) if not leaves]
        leaving = [row for row, g in zip(self._rows, gone, strict=True) if g]
        self._state = take(self._state, stay) if stay else {}
        self._rows = [self._rows[place] for place in stay]
        self._part(leaving)

    def _part(self, rows: Iterable[Row]) -> None:
        """Nothing is done for these rows any more: their slots are free."""
        for row in rows:
            measures.SLOTS.dec()
            row.pending.left(1)

    def _count_queued(self, change: int) -> None:
        self._queued += change
        measures.QUEUE.inc(change)
