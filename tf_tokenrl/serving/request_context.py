"""Request context: deadline and cancellation."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator


class Cancellation:
    """Set once, when nobody waits for the answer any more."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._listener: Callable[[], object] | None = None
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """True from the first `cancel` on."""
        return self._cancelled

    def cancel(self) -> None:
        """Say that the answer is no longer wanted."""
        with self._lock:
            if not self._cancelled:
                self._cancelled = True
                if self._listener is not None:
                    self._listener()

    @contextlib.contextmanager
    def listening(self, listener: Callable[[], object]) -> Iterator[None]:
        """Within the block, `cancel` calls the listener; never after it."""
        with self._lock:
            self._listener = listener
            if self._cancelled:
                listener()
        try:
            yield
        finally:
            with self._lock:
                self._listener = None


@dataclasses.dataclass(frozen=True)
class RequestContext:
    """The limits of one request.

    Attributes:
        timeout_in_ms: the longest that the model may run; 0 is for ever.
        cancellation: by which the caller ends it early, if it can.
        alone: not to be joined with others, who would have to be waited for.
    """

    timeout_in_ms: int = 0
    cancellation: Cancellation | None = None
    alone: bool = False


UNLIMITED = RequestContext()
