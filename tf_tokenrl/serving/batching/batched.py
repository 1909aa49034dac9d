"""A servable that joins requests before it runs them."""

import os
from collections.abc import Sequence
from typing import cast

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import metrics, schema
from tf_tokenrl.serving.batching import tensors
from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.scheduler import Queue, Scheduler
from tf_tokenrl.serving.batching.task import Feeds, Run, Task
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.status import StatusError, invalid

_FILE = "batching_params.pbtxt"


class Batched:
    """Used like the servable that it wraps, whose models it does not know.

    Requests of one signature join, whichever of its outputs they want; what
    belongs to no signature, or has other types, is run alone.

    Note: as in the real server, an error is that of all requests of a batch.

    Args:
        servable: what runs the batches.
        scheduler: whose threads call it.
        options: sizes and times.
    """

    def __init__(
        self, servable: Servable, scheduler: Scheduler, options: Options
    ):
        self.signatures = servable.signatures
        self._servable = servable
        self._scheduler = scheduler
        self._options = options
        self._queues: list[tuple[dict[str, tf.DType], set[str], Queue]] = []
        for signature in self.signatures.values():
            inputs = {
                info.name: tf.as_dtype(info.dtype)
                for info in signature.inputs.values()
            }
            outputs = {info.name for info in signature.outputs.values()}
            queue = scheduler.open(options, self._process)
            self._queues.append((inputs, outputs, queue))

    def run(
        self,
        feeds: Feeds,
        fetches: Sequence[str],
        context: RequestContext = UNLIMITED,
    ) -> list[np.ndarray]:
        """See `Servable.run`.

        Raises:
            StatusError: also those of a queue that is full, or of inputs that
                cannot be joined.
        """
        queue = None if context.alone else self._queue(feeds, fetches)
        if queue is None:
            return self._servable.run(feeds, fetches, context)
        tensors.check(feeds)
        task = Task(feeds, fetches, context)
        metrics.INPUT_BATCH_SIZE.observe(task.size)
        parts = self._scheduler.schedule(queue, task)
        try:
            values = [part.wait() for part in parts]
        except StatusError:
            for part in parts:
                part.leave()
            raise
        if len(values) == 1:
            return [values[0][name] for name in fetches]
        return [
            np.concatenate([value[name] for value in values])
            for name in fetches
        ]

    @property
    def alone(self) -> Servable:
        """See `Servable.alone`."""
        return self._servable

    def close(self) -> None:
        """See `Servable.close`."""
        queues, self._queues = self._queues, []  # they refer to this object
        for _, _, queue in queues:
            self._scheduler.remove(queue)
        self._servable.close()

    def _queue(self, feeds: Feeds, fetches: Sequence[str]) -> Queue | None:
        for inputs, outputs, queue in self._queues:
            if feeds.keys() == inputs.keys() and outputs.issuperset(fetches):
                fits = all(
                    _dtype(array) == inputs[name]
                    for name, array in feeds.items()
                )
                return queue if fits else None
        return None

    def _process(self, tasks: Sequence[Task]) -> None:
        name = self._options.thread_pool_name
        for task in tasks:
            metrics.QUEUING_LATENCY.labels(name).observe(
                metrics.microseconds_since(task.queued)
            )
        run = Run(tasks)
        if not run.tasks:
            return
        try:
            self._run(run)
        except Exception as error:  # whatever it is, somebody waits for it
            for task in run.tasks:
                task.fail(StatusError.of(error))

    def _run(self, run: Run) -> None:
        feeds = tensors.joined(run.tasks, self._options)
        rows = len(next(iter(feeds.values())))
        padding = rows - sum(task.size for task in run.tasks)
        metrics.PROCESSED_BATCH_SIZE.observe(rows)
        metrics.PADDING_SIZE.labels(rows).observe(padding)
        fetches = sorted(set().union(*(task.fetches for task in run.tasks)))
        try:
            arrays = self._servable.run(feeds, fetches, run.context)
        finally:
            metrics.WRAPPED_RUN_COUNT.inc()
        values = dict(zip(fetches, arrays, strict=True))
        parts = tensors.divided(values, run.tasks, rows)
        for task, part in zip(run.tasks, parts, strict=True):
            task.finish(part)


class Batcher:
    """Wraps servables, all of which share its threads.

    Args:
        options: for every servable; None reads them from a file
            batching_params.pbtxt in the version's directory, and does not
            join requests where there is none.
        threads: batches that run side by side.
    """

    def __init__(self, options: Options | None, threads: int):
        self._options = options
        self._scheduler = Scheduler(threads)

    def wrap(self, servable: Servable, path: str) -> Servable:
        """What to use in the servable's place.

        Args:
            path: the version's directory.

        Raises:
            StatusError: the directory's parameters are of no use.
        """
        options = self._options or _own_options(path)
        if options is None:
            return servable
        # The same three names; what a model runs by is no more than them.
        return cast(Servable, Batched(servable, self._scheduler, options))

    def close(self) -> None:
        """End the threads."""
        self._scheduler.close()


def batcher_for(flags: Flags) -> Batcher | None:
    """What the flags ask for; None if requests are not to be joined.

    Raises:
        TokenRLError: the parameters are of no use.
    """
    path = flags.batching_parameters_file
    if not flags.enable_batching:
        if path:
            raise TokenRLError(
                "--batching_parameters_file is of no use without "
                "--enable_batching: give both, or neither."
            )
        return None
    parameters = schema.BatchingParameters()
    parameters.thread_pool_name.value = "model_server_batch_threads"
    if path:
        parameters = schema.read(
            path, schema.BatchingParameters(), "batching_parameters_file"
        )
    try:
        options = Options.of(parameters)
    except StatusError as error:
        raise TokenRLError(f'Correct "{path}": {error.text}.') from error
    own = flags.enable_per_model_batching_parameters
    return Batcher(None if own else options, options.num_batch_threads)


def _own_options(path: str) -> Options | None:
    file = os.path.join(path, _FILE)
    if not tf.io.gfile.exists(file):
        return None
    try:
        return Options.of(schema.read(file, schema.BatchingParameters(), _FILE))
    except TokenRLError as error:
        raise invalid(str(error)) from error


def _dtype(array: np.ndarray) -> tf.DType:
    is_string = array.dtype.kind in "OSU"
    return tf.string if is_string else tf.as_dtype(array.dtype)
