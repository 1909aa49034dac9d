"""Every configured model, watched by one thread."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence

import grpc
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.servable import Servable
from tf_tokenrl.serving.status import StatusError, invalid
from tf_tokenrl.serving.versions import Model, State, Version, not_found

logger = logging.getLogger(__name__)


class Repository:
    """The models by name, their labels, and the thread that looks for news.

    Args:
        configs: what to serve.
        load: from a directory to a servable; raises on failure.
        flags: polling, retries and labels.
    """

    def __init__(
        self,
        configs: Sequence[ModelConfig],
        load: Callable[[str], Servable],
        flags: Flags,
    ):
        self._flags = flags
        self._models = {
            config.name: Model(
                config,
                load,
                flags.max_num_load_retries,
                flags.load_retry_interval_micros / 1e6,
            )
            for config in configs
        }
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )

    def start(self) -> None:
        """Load, and return when every model can answer.

        A base path without versions is waited for, as in the real server.

        Raises:
            TokenRLError: a base path is missing, a model has failed for
                good, or a label names a version that is not available.
        """
        for model in self._models.values():
            try:
                model.look()
            except OSError as error:
                raise TokenRLError(
                    f"{error}. Export a model there, or correct the path."
                ) from error
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._failed)
        if self._failed:
            raise TokenRLError(f"Failed to start server. Error: {self._failed}")
        self._check_labels()

    def stop(self) -> None:
        """Stop looking, and close every version."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for model in self._models.values():
            model.close()

    def acquire(
        self, spec: ModelSpec
    ) -> contextlib.AbstractContextManager[Version]:
        """The version that a request names, kept loaded within the block.

        Raises:
            StatusError: there is no such model, version or label.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        number = self._number(spec)
        if spec.name not in self._models:
            raise not_found(spec.name, number)
        return self._models[spec.name].acquire(number)

    def versions(self, name: str) -> list[Version]:
        """Every version seen of a model, the highest first."""
        return self._models[name].versions if name in self._models else []

    def poll(self) -> None:
        """One round: look at the directories, load and retire."""
        for model in self._models.values():
            try:
                model.look()
            except OSError as error:
                logger.error(
                    "FileSystemStoragePathSource encountered a filesystem "
                    "access error: %s",
                    error,
                )
            self._advance(model)

    def _advance(self, model: Model) -> None:
        model.advance()
        with self._changed:
            self._changed.notify_all()

    def _watch(self) -> None:
        seconds = self._flags.file_system_poll_wait_seconds
        for model in self._models.values():
            self._advance(model)
        while not self._stopped.wait(self._pause(seconds)):
            if seconds > 0:
                self.poll()
            else:
                for model in self._models.values():
                    self._advance(model)

    def _pause(self, poll_seconds: int) -> float | None:
        times = [m.next_try for m in self._models.values()]
        waits = [max(t - time.monotonic(), 0) for t in times if t is not None]
        if poll_seconds > 0:
            waits.append(poll_seconds)
        return min(waits, default=None)

    @property
    def _ready(self) -> bool:
        return all(model.available for model in self._models.values())

    @property
    def _failed(self) -> str:
        lost = [
            f"{{{{name: {model.config.name} version: {version.number}}} due "
            f"to error: {version.error}}}, "
            for model in self._models.values()
            if not model.available
            for version in model.failed
        ]
        if not lost:
            return ""
        return (
            f"UNKNOWN: {len(lost)} servable(s) did not become available: "
            f"{{{''.join(lost)}}}"
        )

    def _number(self, spec: ModelSpec) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return spec.version.value
        if choice != "version_label":
            return None
        model = self._models.get(spec.name)
        labels = model.config.version_labels if model else {}
        if spec.version_label not in labels:
            raise invalid(
                f"Unrecognized servable version label: {spec.version_label}"
            )
        return labels[spec.version_label]

    def _check_labels(self) -> None:
        if self._flags.allow_version_labels_for_unavailable_models:
            return
        for name, model in self._models.items():
            available = {
                v.number for v in model.versions if v.state is State.AVAILABLE
            }
            for label, number in model.config.version_labels.items():
                if number not in available:
                    error = StatusError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of "
                        f"model {name}, which is not currently available for "
                        "inference",
                    )
                    raise TokenRLError(
                        f"Failed to start server. Error: {error}. Remove the "
                        f'label "{label}", serve that version, or give '
                        "--allow_version_labels_for_unavailable_models."
                    )
