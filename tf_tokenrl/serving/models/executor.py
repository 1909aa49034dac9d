"""Executor: runs the loading and closing of versions, in threads or at once."""

from collections.abc import Callable
from concurrent import futures


class Executor:
    """Runs jobs in threads of its own, or at once where it has none.

    Args:
        count: how many threads; with 0, `run` returns when the job is done.
        name: what the threads are called.
    """

    def __init__(self, count: int, name: str):
        self._pool = None
        if count > 0:
            self._pool = futures.ThreadPoolExecutor(count, name)

    def run(self, job: Callable[[], None]) -> None:
        """Run a job that raises nothing."""
        if self._pool is None:
            job()
        else:
            self._pool.submit(job)

    def close(self) -> None:
        """Drop the jobs that wait, and return when the others are done."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
