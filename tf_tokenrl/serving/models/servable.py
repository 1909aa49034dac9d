"""One loaded SavedModel."""

import copy
import ctypes
import logging
from collections.abc import Sequence
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the ops tokenizers need)

from tf_tokenrl.serving import metrics
from tf_tokenrl.serving.models.interruption import Interruption
from tf_tokenrl.serving.models.session import Session
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
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
        self._session = Session(config)
        try:
            with metrics.load(path):
                graph = self._session.load(path, tags)
            # Copies, for a part of a message keeps all of it.
            self.signatures = copy.deepcopy(dict(graph.signature_def))
            self._interruption = Interruption(self._session, self._outputs())
            self._session.extend()
            self._interruption.start()
        except Exception as error:
            self._session.close()
            raise StatusError.of(error) from error

    def run(
        self,
        feeds: dict[str, np.ndarray],
        fetches: Sequence[str],
        context: RequestContext = UNLIMITED,
    ) -> list[np.ndarray]:
        """The values of the tensors named in `fetches`, given `feeds`.

        Args:
            context: how long it may take, and who may end it.

        Raises:
            StatusError: the runtime's own code and text.
        """
        with metrics.graph_run():
            return self._interruption.run(feeds, fetches, context)

    @property
    def alone(self) -> "Servable":
        """What runs a request without waiting for others: itself."""
        return self

    def close(self) -> None:
        """Cancel what still runs.

        The memory is given back with the last reference to the servable.
        """
        self._session.close()

    def _outputs(self) -> set[str]:
        return {
            info.name
            for signature in self.signatures.values()
            for info in signature.outputs.values()
            if ":" in info.name
        }


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
