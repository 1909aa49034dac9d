"""One request in a batch, and a run of several."""

import threading
import time
from collections.abc import Sequence

import grpc
import numpy as np

from tf_tokenrl.serving.request_context import Cancellation, RequestContext
from tf_tokenrl.serving.status import StatusError

Feeds = dict[str, np.ndarray]
Values = dict[str, np.ndarray]


class Task:
    """Rows that wait to be run, and somebody who waits for them.

    Args:
        feeds: arrays of equally many rows, by their names in the graph.
        fetches: the names wanted.
        context: its time and its end.
    """

    def __init__(
        self, feeds: Feeds, fetches: Sequence[str], context: RequestContext
    ):
        self.feeds = feeds
        self.fetches = frozenset(fetches)
        self.size = len(next(iter(feeds.values())))
        self.queued = time.perf_counter()
        self._context = context
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._run: Run | None = None
        self._values: Values = {}
        self._error: StatusError | None = None

    @property
    def milliseconds_left(self) -> int | None:
        """The time until its deadline; None if it has none."""
        limit = self._context.timeout_in_ms
        if not limit:
            return None
        return int(limit - (time.perf_counter() - self.queued) * 1000)

    def split(self, first: int, most: int) -> list["Task"]:
        """Its rows in parts.

        Args:
            first: rows of the first part.
            most: rows of any other.
        """
        sizes = [min(first, self.size)] if first else []
        while sum(sizes) < self.size:
            sizes.append(min(most, self.size - sum(sizes)))
        stops = np.cumsum(sizes)
        return [
            Task(
                {n: a[stop - size : stop] for n, a in self.feeds.items()},
                list(self.fetches),
                self._context,
            )
            for size, stop in zip(sizes, stops, strict=True)
        ]

    def begin(self, run: "Run") -> bool:
        """Join a run; False if nobody waits any more."""
        with self._lock:
            if not self._done.is_set():
                self._run = run
            return self._run is run

    def finish(self, values: Values) -> None:
        """Hand over the rows."""
        self._values = values
        self._done.set()

    def fail(self, error: StatusError) -> None:
        """Hand over why there are none."""
        with self._lock:
            if not self._done.is_set():
                self._error = error
                self._done.set()

    def wait(self) -> Values:
        """The rows, by name; returns in time whatever becomes of the run.

        Raises:
            StatusError: the run failed, took too long, or was cancelled.
        """
        cancellation = self._context.cancellation
        if cancellation is None:
            self._wait()
        else:
            with cancellation.listening(self.leave):
                self._wait()
        if self._error is not None:
            raise self._error
        return self._values

    def leave(self) -> None:
        """Wait no longer, and let nobody run it for nothing."""
        self._leave(
            StatusError(grpc.StatusCode.CANCELLED, "Run() was cancelled")
        )

    def _wait(self) -> None:
        left = self.milliseconds_left
        if self._done.wait(None if left is None else max(left, 0) / 1000):
            return
        if self._run is None:
            self._leave(
                StatusError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "Run() timeout exceeded while waiting in batching queue",
                )
            )
        else:
            self._leave(
                StatusError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    "Timed out waiting for notification",
                )
            )

    def _leave(self, error: StatusError) -> None:
        with self._lock:
            if self._done.is_set():
                return
            self._error = error
            self._done.set()
        if self._run is not None:
            self._run.leave()


class Run:
    """A run of several tasks, which ends early when all of them have left."""

    def __init__(self, tasks: Sequence[Task]):
        self.cancellation = Cancellation()
        self._lock = threading.Lock()
        self._waiting = len(tasks)
        self.tasks = []
        for task in tasks:
            if task.begin(self):
                self.tasks.append(task)
            else:
                self.leave()

    @property
    def context(self) -> RequestContext:
        """Its limits: the latest deadline of a task."""
        times = [task.milliseconds_left for task in self.tasks]
        known = [time for time in times if time is not None]
        latest = max(max(known), 1) if len(known) == len(times) else 0
        return RequestContext(latest, self.cancellation)

    def leave(self) -> None:
        """One of the tasks waits no longer."""
        with self._lock:
            self._waiting -= 1
            nobody = self._waiting == 0
        if nobody:
            self.cancellation.cancel()
