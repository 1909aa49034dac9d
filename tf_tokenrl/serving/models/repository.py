"""Every configured model, watched by one thread."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection

import grpc
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config.model_server_config_pb2 import (
    ModelConfig,
    ModelServerConfig,
)

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import config as configs
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.allowed_paths import AllowedPaths
from tf_tokenrl.serving.models.executor import Executor
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.models.version_labels import VersionLabels
from tf_tokenrl.serving.models.versions import Model, State, Version, not_found
from tf_tokenrl.serving.request_context import (
    UNLIMITED,
    Cancellation,
    RequestContext,
)
from tf_tokenrl.serving.status import StartError, StatusError, invalid

logger = logging.getLogger(__name__)


class Repository:
    """The models by name, their labels, and the thread that looks at them.

    Args:
        config: what to serve.
        load: from a directory to a servable; raises on failure.
        flags: polling, retries, threads and labels.
    """

    def __init__(
        self,
        config: ModelServerConfig,
        load: Callable[[str], Servable],
        flags: Flags,
    ):
        self.flags = flags
        self._load = load
        self._loads = Executor(flags.num_load_threads, "load")
        self._unloads = Executor(flags.num_unload_threads, "unload")
        self._labels = VersionLabels(
            flags.allow_version_labels_for_unavailable_models
        )
        self._config = config
        self._allowed_paths = AllowedPaths(
            flags.reload_base_paths, config.model_config_list.config
        )
        self._changed = threading.Condition()
        self._reloading = threading.Lock()
        self._models = self._with(self._config.model_config_list.config, {})
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(
            target=self._watch, name="versions", daemon=True
        )

    def start(self) -> None:
        """Load, and return when every model can answer.

        A base path without versions is waited for, as in the real server.

        Raises:
            TokenRLError: a base path is missing.
            StartError: a model has failed for good, or a label names a
                version that is not available, as none is yet.
        """
        self._assign_first_labels()
        models = self._models.values()
        for model in models:
            try:
                model.look()
            except OSError as error:
                raise TokenRLError(
                    f"{error}. Export a model there, or correct the path."
                ) from error
        self._thread.start()
        self._wait(models)
        if any(model.failed for model in models):
            reason = _unavailable(models, "servable(s)")
            raise StartError(f"Failed to start server. Error: {reason}")

    def stop(self) -> None:
        """Stop looking, and close every version."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._loads.close()
        self._unloads.close()
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

    @property
    def names(self) -> list[str]:
        """The models that can answer, in order."""
        models = self._models.items()
        return sorted(name for name, model in models if model.available)

    def versions(self, name: str) -> list[Version]:
        """Every version seen of a model, the highest first."""
        return self._models[name].versions if name in self._models else []

    def reload(
        self,
        config: ModelServerConfig,
        context: RequestContext = UNLIMITED,
    ) -> None:
        """Serve other models, and return when the new ones can answer.

        A model that is not in the new configuration is retired, one that
        stays goes on under the new policy, or from the new path.

        Args:
            config: what to serve.
            context: who asks for it.

        Raises:
            StatusError: the configuration is refused, and nothing has
                changed; or a new model is not there or has failed for good, or
                the caller has gone, and it stays in effect.
        """
        new = self._take_over(config, anywhere=False)
        # What is not there, waiting would not bring.
        self._wait([m for m in new if not m.problem], context.cancellation)
        if any(model.failed or model.problem for model in new):
            raise _unavailable(new, "model(s)")
        if context.cancellation is not None and context.cancellation.cancelled:
            raise StatusError(grpc.StatusCode.CANCELLED, "Cancelled")

    def follow(self, config: ModelServerConfig) -> None:
        """Serve other models, wherever they are, and wait for none of them.

        For a file that is looked at again and again: a model whose directory
        is missing is looked for again, and keeps no other from being served.

        Raises:
            StatusError: the configuration is refused, and nothing has changed.
        """
        self._take_over(config, anywhere=True)

    def poll(self) -> None:
        """One round: look at the directories, load and retire."""
        self._look_all()
        self._advance_all()

    def _take_over(
        self, config: ModelServerConfig, anywhere: bool
    ) -> list[Model]:
        """Begin to serve other models; those that are new or elsewhere."""
        with self._reloading:
            new = self._replace(config, anywhere)
        self._look_all()
        self._wake.set()
        return new

    def _replace(
        self, config: ModelServerConfig, anywhere: bool
    ) -> list[Model]:
        """Take a configuration over; the models that were not in the last.

        The checks are those of the real server, in its order, but here all
        of them come before the first change.
        """
        if config.WhichOneof("config") != "model_config_list":
            raise StatusError(
                grpc.StatusCode.FAILED_PRECONDITION,
                "Cannot transition to requested config. It is only legal to "
                "transition from one ModelConfigList to another.",
            )
        configs.check_list(config)
        before = {
            model.name: configs.platform(model)
            for model in self._config.model_config_list.config
        }
        paths = {
            model.name: model.base_path
            for model in self._config.model_config_list.config
        }
        models = config.model_config_list.config
        for model in models:
            if model.name in before:
                _check_same_platform(model, before[model.name])
        labels = self._labels.after(models, self._is_available)
        configs.check_platforms(models)
        configs.check_logging(models)
        if not anywhere:
            self._allowed_paths.check(models)
        self._models = self._with(models, self._models)
        self._labels = labels
        self._config = config
        return [
            self._models[model.name]
            for model in models
            if paths.get(model.name) != model.base_path
        ]

    def _with(
        self, wanted: Collection[ModelConfig], known: dict[str, Model]
    ) -> dict[str, Model]:
        """All models ever known by name, configured anew."""
        models = dict(known)
        for name in known.keys() - {config.name for config in wanted}:
            known[name].configure(None)
        for config in wanted:
            if config.name in known:
                known[config.name].configure(config)
            else:
                models[config.name] = Model(
                    config,
                    self._load,
                    self.flags,
                    self._loads,
                    self._unloads,
                    self._notify,
                )
        return models

    def _look_all(self) -> None:
        for model in self._models.values():
            try:
                model.look()
            except OSError as error:
                logger.error(
                    "FileSystemStoragePathSource encountered a filesystem "
                    "access error: %s",
                    error,
                )

    def _advance_all(self) -> None:
        for model in self._models.values():
            model.advance()
        self._notify()

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _watch(self) -> None:
        seconds = self.flags.file_system_poll_wait_seconds
        self._advance_all()
        while True:
            self._wake.wait(self._pause(seconds))
            self._wake.clear()
            if self._stopped:
                return
            try:
                if seconds > 0:
                    self.poll()
                else:
                    self._advance_all()
            except Exception:  # the next round may go well
                logger.exception("Looking after the versions has failed")

    def _pause(self, poll_seconds: int) -> float | None:
        times = [m.next_try for m in self._models.values()]
        waits = [max(t - time.monotonic(), 0) for t in times if t is not None]
        if poll_seconds > 0:
            waits.append(poll_seconds)
        return min(waits, default=None)

    def _wait(
        self,
        models: Collection[Model],
        cancellation: Cancellation | None = None,
    ) -> None:
        """Return when each can answer, one has failed, or nobody waits."""
        if cancellation is None:
            cancellation = Cancellation()

        def over() -> bool:
            return (
                cancellation.cancelled
                or any(model.failed for model in models)
                or all(model.available for model in models)
            )

        with cancellation.listening(self._notify), self._changed:
            self._changed.wait_for(over)

    def _number(self, spec: ModelSpec) -> int | None:
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return spec.version.value
        if choice == "version_label":
            return self._labels.number(spec.name, spec.version_label)
        return None

    def _is_available(self, name: str, number: int) -> bool:
        return any(
            version.number == number and version.state is State.AVAILABLE
            for version in self.versions(name)
        )

    def _assign_first_labels(self) -> None:
        """Note: as in the real server, no version is available yet."""
        if self._config.WhichOneof("config") != "model_config_list":
            return
        models = self._config.model_config_list.config
        try:
            self._labels = self._labels.after(models, self._is_available)
        except StatusError as error:
            raise StartError(
                f"Failed to start server. Error: {error}. Give "
                "--allow_version_labels_for_unavailable_models, or assign "
                "labels once the server runs."
            ) from error


def _check_same_platform(model: ModelConfig, before: str) -> None:
    after = configs.platform(model)
    if after != before:
        raise invalid(
            "Illegal to change a model's platform. For model "
            f"{model.name} platform was {before} and new platform requested "
            f"is {after}"
        )


def _unavailable(models: Collection[Model], noun: str) -> StatusError:
    lost = [
        f"{{{{name: {model.name} version: {version.number}}} due to error: "
        f"{version.error}}}, "
        for model in models
        if not model.available
        for version in model.failed
    ]
    lost += [
        f"{{{{name: {model.name}}} due to error: NOT_FOUND: {model.problem}}}, "
        for model in models
        if model.problem
    ]
    return StatusError(
        grpc.StatusCode.UNKNOWN,
        f"{len(lost)} {noun} did not become available: {{{''.join(lost)}}}",
    )
