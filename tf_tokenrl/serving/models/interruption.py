"""Ends one run of a session and leaves its other runs alone.

TensorFlow's session can be closed, which ends all its runs, or a run be given
a time limit; there is no call that ends one run now. Two operations added to
the graph, and a queue for each run, are such a call:

    for each output: enqueue a token, after the output is there
    gate:            dequeue as many tokens as there are outputs

A run that fetches outputs also waits for the gate, which opens when they are
there. To end the run, its queue is closed: the gate fails, in the thread that
closes, and with it the run. What then still computes ends at the next turn of
a loop, or when its operation is done.

The gate itself must have begun. Where loops without a pause hold all of
TensorFlow's inter-op threads it has not, and the run ends when one is free, or
at its time limit.

Where the model fails inside a function, TensorFlow ends the gate first and
reports the gate. Such a run is made again without it, to hear what is wrong.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import grpc
import numpy as np
import tensorflow as tf

from tf_tokenrl.serving.models.session import Feeds, Session
from tf_tokenrl.serving.request_context import RequestContext
from tf_tokenrl.serving.status import StatusError

_QUEUES = 64
_HIDING = "Dequeue operation was cancelled"


class Interruption:
    """The operations above, for runs side by side.

    Note: more than 64 runs at once cannot all be ended; the others end by
    their time limit.

    Args:
        session: whose graph can still be added to.
        outputs: the names of the tensors that will ever be fetched.
    """

    def __init__(self, session: Session, outputs: Iterable[str]):
        self._run = session.run
        self._lock = threading.Lock()
        self._free: list[_Queue] = []
        with session.graph.as_default(), tf.device("/cpu:0"):
            self._build(session.graph, sorted(set(outputs)))

    def start(self) -> None:
        """Make the queues, once the session has taken in its graph."""
        handles = self._run({}, [f"{name}:0" for name in self._kept], [])
        self._free = [
            _Queue(name, np.array(handle, dtype=object))
            for name, handle in zip(self._made, handles, strict=True)
        ]

    def _build(self, graph: tf.Graph, outputs: Sequence[str]) -> None:
        raw, v1 = tf.raw_ops, tf.compat.v1
        queues = [
            raw.FIFOQueueV2(
                component_types=[tf.bool], shapes=[[]], shared_name=f"end_{i}"
            )
            for i in range(_QUEUES)
        ]
        self._made = [queue.op.name for queue in queues]
        self._kept = [raw.GetSessionHandle(value=q).op.name for q in queues]
        # Errors count feeds in the order of their names: ours come last.
        handle = v1.placeholder(tf.string, [], name="zzzz/end_queue")
        count = v1.placeholder(tf.int32, [], name="zzzz/end_count")
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
        self._gate = tokens.op.name
        self._close = raw.QueueCloseV2(handle=queue).name
        self._destroy = raw.DestroyResourceOp(resource=queue).name

    def run(
        self, feeds: Feeds, fetches: Sequence[str], context: RequestContext
    ) -> list[np.ndarray]:
        """Run the session, with the gate if the caller may end the run.

        Raises:
            StatusError: the runtime's own, or CANCELLED.
        """
        cancellation, names = context.cancellation, sorted(set(fetches))
        if cancellation is None or not self._done.keys() >= set(names):
            return self._run(feeds, fetches, [], context.timeout_in_ms)
        queue = self._take()
        if queue is None:
            return self._run(feeds, fetches, [], context.timeout_in_ms)
        begun = time.monotonic()
        gate = {
            self._queue: queue.handle,
            self._count: np.array(len(names), np.int32),
        }
        targets = [*(self._done[name] for name in names), self._gate]
        used = True
        try:
            with cancellation.listening(lambda: self._do(self._close, queue)):
                arrays = self._run(
                    {**feeds, **gate}, fetches, targets, context.timeout_in_ms
                )
            used = cancellation.cancelled
            return arrays
        except StatusError as error:
            if cancellation.cancelled:
                raise StatusError(
                    grpc.StatusCode.CANCELLED, "Cancelled"
                ) from error
            if _HIDING not in error.text:
                raise
        finally:
            self._give_back(queue, used)
        return self._run(feeds, fetches, [], _remaining(context, begun))

    def _take(self) -> "_Queue | None":
        with self._lock:
            return self._free.pop() if self._free else None

    def _give_back(self, queue: "_Queue", used: bool) -> None:
        """A queue that is closed, or holds tokens, is made anew first."""
        try:
            if used:
                self._do(self._destroy, queue)
                self._do(queue.name, queue)
        except StatusError:  # the session has been closed
            return
        with self._lock:
            self._free.append(queue)

    def _do(self, operation: str, queue: "_Queue") -> None:
        """In this thread, for those of TensorFlow may be busy for long."""
        self._run({self._queue: queue.handle}, [], [operation], 0, True)


class _Queue(NamedTuple):
    name: str
    handle: np.ndarray


def _remaining(context: RequestContext, begun: float) -> int:
    if not context.timeout_in_ms:
        return 0
    passed = int(1000 * (time.monotonic() - begun))
    return max(context.timeout_in_ms - passed, 1)
