"""Ends one run of a session and leaves its other runs alone.

TensorFlow's session can be closed, which ends all its runs, or a run be given
a time limit; there is no call that ends one run now. Three operations added to
the graph are such a call:

    for each output: enqueue(True), after the output is there
    gate:            dequeue as many as there are outputs; all must be True

A run that fetches outputs also waits for the gate, which opens when they are
there. To end the run, False is put into the queue: the gate fails, and with it
the run. What then still computes ends at the next turn of a loop, or when its
operation is done.

Where the model fails inside a function, TensorFlow ends the gate first and
reports the gate. Such a run is made again without it, to hear what is wrong.
"""

import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import grpc
import numpy as np
import tensorflow as tf

from tf_tokenrl.serving.call import Call
from tf_tokenrl.serving.status import StatusError

_QUEUES = 64
_HIDING = "Dequeue operation was cancelled"
Feeds = dict[str, np.ndarray]


class Interruption:
    """The operations above, for runs side by side.

    Note: more than 64 runs at once cannot all be ended; the others end by
    their time limit.

    Args:
        graph: the graph of the session, not yet finalised.
        outputs: the names of the tensors that will ever be fetched.
        run: runs the session; it takes feeds, names of tensors to fetch,
            names of operations to run, a timeout in milliseconds, and
            whether to stay in this thread.
    """

    def __init__(
        self, graph: tf.Graph, outputs: Iterable[str], run: Callable[..., list]
    ):
        self._run = run
        self._lock = threading.Lock()
        self._free: list[np.ndarray] = []
        with graph.as_default(), tf.device("/cpu:0"):
            self._build(graph, sorted(set(outputs)))

    def start(self) -> None:
        """Make the queues, once the session has taken in its graph."""
        self._free = [
            np.array(handle, dtype=object)
            for handle in self._run({}, self._handles, [])
        ]

    def _build(self, graph: tf.Graph, outputs: Sequence[str]) -> None:
        raw, v1 = tf.raw_ops, tf.compat.v1
        self._handles = [
            raw.GetSessionHandle(
                value=raw.FIFOQueueV2(
                    component_types=[tf.bool],
                    shapes=[[]],
                    shared_name=f"stop_{number}",
                )
            ).name
            for number in range(_QUEUES)
        ]
        handle = v1.placeholder(tf.string, [], name="stop_queue")
        count = v1.placeholder(tf.int32, [], name="stop_count")
        self._queue, self._count = handle.name, count.name
        queue = raw.GetSessionTensor(handle=handle, dtype=tf.resource)
        self._done = {}
        for name in outputs:
            tensor = graph.get_tensor_by_name(name)
            with tf.control_dependencies([tensor]):
                put = raw.QueueEnqueueV2(handle=queue, components=[True])
            self._done[name] = put.name
        (tokens,) = raw.QueueDequeueManyV2(
            handle=queue, n=count, component_types=[tf.bool]
        )
        self._tokens = tokens.name
        self._gate = v1.Assert(tf.reduce_all(tokens), ["stopped"]).name
        self._end = raw.QueueEnqueueManyV2(
            handle=queue, components=[tf.fill([count], False)]
        ).name
        self._size = raw.QueueSizeV2(handle=queue).name

    def run(
        self, feeds: Feeds, fetches: Sequence[str], call: Call
    ) -> list[np.ndarray]:
        """Run the session, with the gate if the caller may end the run.

        Raises:
            StatusError: the runtime's own, or CANCELLED.
        """
        cancellation, names = call.cancellation, sorted(set(fetches))
        if cancellation is None or not self._done.keys() >= set(names):
            return self._run(feeds, fetches, [], call.timeout_in_ms)
        queue = self._take()
        if queue is None:
            return self._run(feeds, fetches, [], call.timeout_in_ms)
        begun = time.monotonic()
        gate = {self._queue: queue, self._count: np.array(len(names), np.int32)}
        targets = [*(self._done[name] for name in names), self._gate]
        end = functools.partial(self._run, gate, [], [self._end], 0, True)
        failed = True
        try:
            with cancellation.listening(end):
                arrays = self._run(
                    {**feeds, **gate}, fetches, targets, call.timeout_in_ms
                )
            failed = False
            return arrays
        except StatusError as error:
            if cancellation.cancelled:
                raise StatusError(
                    grpc.StatusCode.CANCELLED, "Cancelled"
                ) from error
            if _HIDING not in error.text:
                raise
        finally:
            if not (failed or cancellation.cancelled) or self._emptied(queue):
                self._give_back(queue)
        return self._run(feeds, fetches, [], _remaining(call, begun))

    def _take(self) -> np.ndarray | None:
        with self._lock:
            return self._free.pop() if self._free else None

    def _give_back(self, queue: np.ndarray) -> None:
        with self._lock:
            self._free.append(queue)

    def _emptied(self, queue: np.ndarray) -> bool:
        """Take out what a run has left, so that the next can use the queue."""
        gate = {self._queue: queue}
        try:
            (size,) = self._run(gate, [self._size], [], 0, True)
            gate[self._count] = np.array(size, np.int32)
            self._run(gate, [self._tokens], [], 0, True)
        except StatusError:  # the session has been closed
            return False
        return True


def _remaining(call: Call, begun: float) -> int:
    if not call.timeout_in_ms:
        return 0
    passed = int(1000 * (time.monotonic() - begun))
    return max(call.timeout_in_ms - passed, 1)
