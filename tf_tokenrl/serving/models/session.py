"""A graph in TensorFlow's own session, run by names."""

import weakref
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

# The real server runs a Session; only these modules lead to it without
# Python's own checks, which reject feeds that the runtime accepts.
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.framework.ops import dismantle_graph
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from tf_tokenrl.serving.status import StatusError, invalid

Feeds = dict[str, np.ndarray]


class Session:
    """A graph and what runs it.

    The memory of both is given back with the last reference to them. A
    `tf.Graph` is a cycle of references: left as it is, it would wait for
    Python's garbage collector, which comes by its count of Python's objects
    and knows nothing of the many megabytes behind a few of them.

    Args:
        config: thread counts and the like.
    """

    def __init__(self, config: tf.compat.v1.ConfigProto):
        self.graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self.graph, config=config)
        weakref.finalize(self, dismantle_graph, self.graph).atexit = False

    def load(self, path: str, tags: Sequence[str]) -> MetaGraphDef:
        """Fill the graph, and its variables, from a SavedModel.

        Raises:
            Exception: TensorFlow's own.
        """
        with self.graph.as_default():
            return SavedModelLoader(path).load(self._session, list(tags))

    def extend(self) -> None:
        """Take in the operations that were added to the graph."""
        self._session._extend_graph()

    def run(
        self,
        feeds: Feeds,
        fetches: Sequence[str],
        targets: Sequence[str] = (),
        timeout_in_ms: int = 0,
        in_this_thread: bool = False,
    ) -> list[np.ndarray]:
        """The values of tensors.

        Args:
            feeds: arrays by the names of tensors.
            fetches: names of tensors.
            targets: names of operations to run besides.
            timeout_in_ms: the longest that it may take; 0 is for ever.
            in_this_thread: not in one of TensorFlow's inter-op threads.

        Raises:
            StatusError: the runtime's own code and text.
        """
        options = tf.compat.v1.RunOptions(
            timeout_in_ms=timeout_in_ms,
            inter_op_thread_pool=-1 if in_this_thread else 0,
        )
        buffer = pywrap_tf_session.TF_NewBufferFromString(
            options.SerializeToString()
        )
        try:
            return pywrap_tf_session.TF_SessionRun_wrapper(
                self._session._session,
                buffer,
                {self._tensor(name): array for name, array in feeds.items()},
                [self._tensor(name) for name in fetches],
                [self._operation(name) for name in targets],
                None,
            )
        except tf.errors.OpError as error:
            raise StatusError.of(error) from error
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def close(self) -> None:
        """Cancel what still runs."""
        self._session.close()

    def _tensor(self, name: str):
        operation, _, index = name.partition(":")
        output = pywrap_tf_session.TF_Output()
        output.oper = self._operation(operation)
        output.index = int(index or 0)
        if not self.graph.get_operation_by_name(operation).outputs:
            raise invalid(
                f"Tried to fetch data for '{name}', which produces no output. "
                f" To run to a node but not fetch any data, pass '{name}' as "
                "an argument to the 'target_node_names' argument of the "
                "Session::Run API."
            )
        return output

    def _operation(self, name: str):
        try:
            return self.graph.get_operation_by_name(name)._c_op
        except (KeyError, ValueError) as error:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"FetchOutputs node {name}: not found",
            ) from error
