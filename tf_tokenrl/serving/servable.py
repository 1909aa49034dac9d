"""One loaded SavedModel."""

import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops tokenizers need)

# The real server runs a Session; only these two modules lead to it without
# Python's own checks, which reject feeds that the runtime accepts.
from tensorflow.python.client import pywrap_tf_session
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from tf_tokenrl.serving.call import UNLIMITED, Call
from tf_tokenrl.serving.interruption import Interruption
from tf_tokenrl.serving.status import StatusError, invalid

logger = logging.getLogger(__name__)


class Servable:
    """A SavedModel in a session of its own: what it accepts, the runtime does.

    Args:
        path: the version's directory.
        tags: which of its graphs to load.
        config: thread counts and the like.

    Raises:
        StatusError: it cannot be loaded.
    """

    def __init__(
        self, path: str, tags: Sequence[str], config: tf.compat.v1.ConfigProto
    ):
        if not tf.saved_model.contains_saved_model(path):
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                "Could not find SavedModel .pb or .pbtxt at supplied export "
                f"directory path: {path}. Check that the directory exists "
                "and that you have the right permissions for accessing it.",
            )
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph, config=config)
        try:
            with self._graph.as_default():
                graph = SavedModelLoader(path).load(self._session, list(tags))
            self.signatures = dict(graph.signature_def)
            self._interruption = Interruption(
                self._graph, self._outputs(), self._run
            )
            self._session._extend_graph()
            self._interruption.start()
        except Exception as error:
            self._session.close()
            raise StatusError.of(error) from error

    def run(
        self,
        feeds: dict[str, np.ndarray],
        fetches: Sequence[str],
        call: Call = UNLIMITED,
    ) -> list[np.ndarray]:
        """The values of the tensors named in `fetches`, given `feeds`.

        Args:
            call: how long it may take, and who may end it.

        Raises:
            StatusError: the runtime's own code and text.
        """
        return self._interruption.run(feeds, fetches, call)

    @property
    def alone(self) -> "Servable":
        """What runs a request without waiting for others: itself."""
        return self

    def close(self) -> None:
        """Cancel what still runs and give the memory back."""
        self._session.close()

    def _run(
        self,
        feeds: dict[str, np.ndarray],
        fetches: Sequence[str],
        targets: Sequence[str],
        timeout_in_ms: int = 0,
        in_this_thread: bool = False,
    ) -> list:
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

    def _outputs(self) -> set[str]:
        return {
            info.name
            for signature in self.signatures.values()
            for info in signature.outputs.values()
            if ":" in info.name
        }

    def _tensor(self, name: str):
        operation, _, index = name.partition(":")
        output = pywrap_tf_session.TF_Output()
        output.oper = self._operation(operation)
        output.index = int(index or 0)
        if not self._graph.get_operation_by_name(operation).outputs:
            raise invalid(
                f"Tried to fetch data for '{name}', which produces no output. "
                f" To run to a node but not fetch any data, pass '{name}' as "
                "an argument to the 'target_node_names' argument of the "
                "Session::Run API."
            )
        return output

    def _operation(self, name: str):
        try:
            return self._graph.get_operation_by_name(name)._c_op
        except (KeyError, ValueError) as error:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"FetchOutputs node {name}: not found",
            ) from error


def disable_xla() -> None:
    """Refuse XLA in this process from now on, as the real server does.

    It cannot be undone, and it comes too late for a session already open.
    """
    try:
        folder = Path(tf.sysconfig.get_lib())
        library = ctypes.CDLL(str(next(folder.glob("libtensorflow_cc.*2*"))))
        library["_ZN10tensorflow21DisableXlaCompilationEv"]()
    except (StopIteration, OSError, AttributeError):
        logger.warning(
            "This TensorFlow offers no way to disable XLA: a model that "
            "works here may fail in the real server."
        )
