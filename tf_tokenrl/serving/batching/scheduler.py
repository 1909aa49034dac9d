"""Queues of batches, and the threads that run them.

As in the real server: the last batch of a queue is open, and closed when the
next request does not fit. A thread takes the first closed batch; an open one
when it is full or has waited long enough. Threads serve the queues in turn.
"""

import collections
import threading
import time
from collections.abc import Callable, Sequence

import grpc

from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.task import Task
from tf_tokenrl.serving.status import StatusError, invalid

Process = Callable[[Sequence[Task]], None]


class Queue:
    """The batches of one signature; the scheduler's lock guards them.

    Args:
        options: sizes and times.
        process: runs a batch, and raises nothing.
    """

    def __init__(self, options: Options, process: Process):
        self.process = process
        self._options = options
        self._batches: collections.deque[list[Task]] = collections.deque([[]])
        self._opened = 0.0  # on the clock of time.perf_counter

    def add(self, task: Task) -> list[Task]:
        """Take a task in; the parts whose rows are its rows.

        Raises:
            StatusError: it is too large, or the queue is full.
        """
        limit = self._options.max_batch_size
        if task.size > limit:
            raise invalid(
                f"Task size {task.size} is larger than maximum input batch "
                f"size {limit}"
            )
        room = self._options.execution_size - self._open_size
        if self._options.enable_large_batch_splitting:
            self._check_capacity(task, room)
            parts = [task]
            if task.size > room:
                parts = task.split(room, self._options.execution_size)
        else:
            self._check_length(task, room)
            parts = [task]
        for part in parts:
            self._append(part)
        return parts

    def take(self, now: float) -> list[Task] | None:
        """The batch that is due, if there is one."""
        if len(self._batches) == 1:
            if not self._batches[0] or self.due_in(now) > 0:
                return None
            self._batches.append([])
        return self._batches.popleft()

    def due_in(self, now: float) -> float:
        """Seconds until the open batch is to run; infinite if it is empty."""
        if len(self._batches) > 1:
            return 0.0
        if not self._batches[0]:
            return float("inf")
        if self._open_size >= self._options.execution_size:
            return 0.0
        return self._opened + self._options.batch_timeout_micros / 1e6 - now

    def empty(self) -> list[Task]:
        """Everything that waits; afterwards nothing does."""
        tasks = [task for batch in self._batches for task in batch]
        self._batches = collections.deque([[]])
        return tasks

    @property
    def _open_size(self) -> int:
        return sum(task.size for task in self._batches[-1])

    def _append(self, task: Task) -> None:
        if self._open_size + task.size > self._options.execution_size:
            self._batches.append([])
        if not self._batches[-1]:
            self._opened = time.perf_counter()
        self._batches[-1].append(task)

    def _check_length(self, task: Task, room: int) -> None:
        most = self._options.max_enqueued_batches
        if task.size > room and len(self._batches) >= most:
            raise _full(
                f"currently {len(self._batches)} batches enqueued and "
                f"max_enqueued_batches is {most}"
            )

    def _check_capacity(self, task: Task, room: int) -> None:
        most = self._options.max_enqueued_batches
        size = self._options.execution_size
        capacity = (most - len(self._batches)) * size + room
        if task.size > capacity:
            raise _full(
                f"task size is {task.size} but scheduling capacity is only "
                f"{capacity} (num_enqueued_batches={len(self._batches)}, "
                f"max_enqueued_batches={most}, open_batch_size="
                f"{self._open_size}, max_execution_batch_size={size})"
            )


class Scheduler:
    """Threads that serve many queues.

    A thread that waits refers to no queue: it would keep a whole model.

    Args:
        threads: how many.
    """

    def __init__(self, threads: int):
        self._changed = threading.Condition()
        self._queues: collections.deque[Queue] = collections.deque()
        self._started = self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"batch-{i}", daemon=True)
            for i in range(threads)
        ]

    def open(self, options: Options, process: Process) -> Queue:
        """A new queue."""
        queue = Queue(options, process)
        with self._changed:
            if not self._started:
                self._started = True
                for thread in self._threads:
                    thread.start()
            self._queues.append(queue)
        return queue

    def schedule(self, queue: Queue, task: Task) -> list[Task]:
        """Put a task into a queue; see `Queue.add`.

        Raises:
            StatusError: see there.
        """
        with self._changed:
            parts = queue.add(task)
            self._changed.notify(len(parts))
        return parts

    def remove(self, queue: Queue) -> None:
        """Serve a queue no more; what waits in it fails."""
        with self._changed:
            self._queues.remove(queue)
            tasks = queue.empty()
        for task in tasks:
            task.fail(
                StatusError(
                    grpc.StatusCode.CANCELLED, "Session has been closed."
                )
            )

    def close(self) -> None:
        """End the threads, each after the batch that it runs."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads if self._started else ():
            thread.join()

    def _work(self) -> None:
        while self._run_next():
            pass

    def _run_next(self) -> bool:
        """Wait for a batch and run it; False at the end."""
        with self._changed:
            while not self._closed:
                due = self._due()
                if due is not None:
                    break
                self._changed.wait(self._pause())
            else:
                return False
        queue, tasks = due
        queue.process(tasks)
        return True

    def _due(self) -> tuple[Queue, list[Task]] | None:
        """The next batch that is due, if there is one."""
        now = time.perf_counter()
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)
            tasks = queue.take(now)
            if tasks:
                return queue, tasks
        return None

    def _pause(self) -> float | None:
        """Seconds until a batch is due; None if there is none."""
        now = time.perf_counter()
        pause = min(
            (queue.due_in(now) for queue in self._queues),
            default=float("inf"),
        )
        return None if pause == float("inf") else pause


def _full(reason: str) -> StatusError:
    return StatusError(
        grpc.StatusCode.UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full; "
        f"{reason}",
    )
