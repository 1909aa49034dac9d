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

from tf_tokenrl.serving.status import StatusError

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
        except Exception as error:
            self._session.close()
            raise StatusError.of(error) from error
        self.signatures = dict(graph.signature_def)

    def run(
        self,
        feeds: dict[str, np.ndarray],
        fetches: Sequence[str],
        timeout_in_ms: int = 0,
    ) -> list[np.ndarray]:
        """The values of the tensors named in `fetches`, given `feeds`.

        Args:
            timeout_in_ms: the longest it may take; 0 is for ever.

        Raises:
            StatusError: the runtime's own code and text.
        """
        options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_in_ms)
        buffer = pywrap_tf_session.TF_NewBufferFromString(
            options.SerializeToString()
        )
        try:
            return pywrap_tf_session.TF_SessionRun_wrapper(
                self._session._session,
                buffer,
                {self._tensor(name): array for name, array in feeds.items()},
                [self._tensor(name) for name in fetches],
                [],
                None,
            )
        except tf.errors.OpError as error:
            raise StatusError.of(error) from error
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def close(self) -> None:
        """Cancel what still runs and give the memory back."""
        self._session.close()

    def _tensor(self, name: str):
        return self._graph.get_tensor_by_name(name)._as_tf_output()


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
