"""The life of a model's versions: found, loaded, in use, retired."""

import contextlib
import enum
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator

import grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.models.directories import find_versions
from tf_tokenrl.serving.models.executor import Executor
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.status import StatusError

logger = logging.getLogger(__name__)


class State(enum.IntEnum):
    """The states of GetModelStatus, with their numbers on the wire."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


class Version:
    """One version of a model, and how many requests are using it."""

    def __init__(self, number: int, path: str):
        self.number = number
        self.path = path
        self.state = State.START
        self.error: StatusError | None = None
        self.servable: Servable | None = None
        self.users = 0
        self.loading = False
        self.failures = 0
        self.next_try = 0.0  # on the clock of time.monotonic()

    @property
    def loaded(self) -> Servable:
        """What an acquired version runs; it stays loaded while in use."""
        assert self.servable is not None
        return self.servable


class Model:
    """All versions of one model.

    A new version is loaded before the old one is retired, and a retired one
    is closed when its last request has been answered.

    Args:
        config: name, base path and version policy.
        load: from a directory to a servable; raises on failure.
        flags: how often, and after what time, a failed load is tried again.
        loads: where loads run.
        unloads: where versions are closed.
        notify: called after each load.

    Attributes:
        problem: why the last look at the directory found no version; "" if
            it found one.
    """

    def __init__(
        self,
        config: ModelConfig,
        load: Callable[[str], Servable],
        flags: Flags,
        loads: Executor,
        unloads: Executor,
        notify: Callable[[], None],
    ):
        self.name = config.name
        self._config: ModelConfig | None = config
        self._load = load
        self._retries = flags.max_num_load_retries
        self._retry_seconds = flags.load_retry_interval_micros / 1e6
        self._loads = loads
        self._unloads = unloads
        self._notify = notify
        self._looking = threading.Lock()
        self._lock = threading.Lock()
        # What is at another path is another version, even under one number:
        # the later in the list is the later in time.
        self._versions: list[Version] = []
        self._aspired: list[Version] = []
        self._warned: set[str] = set()
        self.problem = ""

    @property
    def versions(self) -> list[Version]:
        """Every version ever seen, the highest number first.

        Of two with one number it is the one that answers, or the later.
        """
        with self._lock:
            found: dict[int, Version] = {}
            for version in self._versions:
                known = found.get(version.number)
                if (
                    known is None
                    or known.state is not State.AVAILABLE
                    or version.state is State.AVAILABLE
                ):
                    found[version.number] = version
        return sorted(found.values(), key=lambda v: v.number, reverse=True)

    @property
    def available(self) -> bool:
        """True once one of the versions that are wanted can answer."""
        return any(v.state is State.AVAILABLE for v in self._aspired)

    @property
    def failed(self) -> list[Version]:
        """The versions given up, when none is left to hope for."""
        ended = [v for v in self._aspired if v.state is State.END]
        return ended if len(ended) == len(self._aspired) else []

    @property
    def next_try(self) -> float | None:
        """When the next failed load is to be tried again, if any is."""
        times = (
            version.next_try
            for version in self._aspired
            if version.state is State.LOADING and not version.loading
        )
        return min(times, default=None)

    @contextlib.contextmanager
    def acquire(self, number: int | None) -> Iterator[Version]:
        """An available version, kept loaded until the block ends.

        Args:
            number: which one; None takes the highest.

        Raises:
            StatusError: NOT_FOUND.
        """
        with self._lock:
            version = self._pick(number)
            version.users += 1
        try:
            yield version
        finally:
            with self._lock:
                version.users -= 1
            self._close_if_idle(version)

    def configure(self, config: ModelConfig | None) -> None:
        """Go on with another path or policy; None wants no version at all."""
        with self._looking:
            self._config = config

    def look(self) -> None:
        """See which versions the directory holds now, and keep to them.

        Raises:
            OSError: the directory cannot be read; nothing changes.
        """
        with self._looking:
            paths = {}
            if self._config is not None:
                try:
                    paths = find_versions(self._config, self._warn)
                except OSError as error:
                    self.problem = str(error)
                    raise
            if paths:
                self.problem = ""
            self._aspire(paths)

    def advance(self) -> None:
        """Load what is due, then retire what is no longer wanted."""
        for version in reversed(self._aspired):
            if self._claim(version):
                self._loads.run(functools.partial(self._try, version))
        self._retire_unwanted()

    def close(self) -> None:
        """Close every version; requests that still run are cancelled."""
        self._aspired = []
        for version in self._versions:
            version.state = State.END
            if version.servable is not None:
                version.servable.close()

    def _pick(self, number: int | None) -> Version:
        ready = {
            version.number: version
            for version in self._versions
            if version.state is State.AVAILABLE
        }
        if number is None:
            number = max(ready, default=None)
            if number is None:
                raise not_found(self.name)
        if number not in ready:
            raise not_found(self.name, number)
        return ready[number]

    def _aspire(self, paths: dict[int, str]) -> None:
        wanted = []
        with self._lock:
            for number, path in sorted(paths.items()):
                version = self._current(number, path)
                if version.state is State.UNLOADING:  # still loaded, in use
                    version.state = State.AVAILABLE
                wanted.append(version)
            self._aspired = wanted

    def _current(self, number: int, path: str) -> Version:
        """The version at a path, from now on the latest of its number."""
        version = Version(number, path)
        for known in self._versions:
            same = (known.number, known.path) == (number, path)
            if same and not self._gone(known):
                version = known
        self._versions = [
            known
            for known in self._versions
            if known.number != number
            or (known is not version and not self._gone(known))
        ]
        self._versions.append(version)
        return version

    def _gone(self, version: Version) -> bool:
        if version.state is State.UNLOADING:
            return version.servable is None
        return version.state is State.END and version not in self._aspired

    def _claim(self, version: Version) -> bool:
        """True for the one caller that is to load the version now."""
        with self._lock:
            if (
                version.state not in (State.START, State.LOADING)
                or version.loading
                or time.monotonic() < version.next_try
            ):
                return False
            version.loading = True
            version.state = State.LOADING
            return True

    def _try(self, version: Version) -> None:
        try:
            version.servable = self._load(version.path)
        except Exception as error:
            self._note_failure(version, StatusError.of(error))
        else:
            version.error = None
            version.state = State.AVAILABLE
            logger.info(
                "Successfully loaded servable version {name: %s version: %d}",
                self.name,
                version.number,
            )
        finally:
            version.loading = False
        self._retire_unwanted()
        self._notify()

    def _note_failure(self, version: Version, error: StatusError) -> None:
        # A new one, for its traceback holds what was loaded so far.
        version.error = StatusError(error.code, error.text)
        version.failures += 1
        outlook = "given up"
        if version.failures > self._retries:
            version.state = State.END
        else:
            version.next_try = time.monotonic() + self._retry_seconds
            outlook = f"trying again in {self._retry_seconds:g} seconds"
        logger.error(
            "Loading servable: {name: %s version: %d} failed (%s): %s",
            self.name,
            version.number,
            outlook,
            error,
        )

    def _retire_unwanted(self) -> None:
        if self._aspired and not any(
            v.state is State.AVAILABLE for v in self._aspired
        ):
            return
        coming = {
            version.number
            for version in self._aspired
            if version.state in (State.START, State.LOADING)
        }
        with self._lock:
            unwanted = set(self._versions) - set(self._aspired)
        for version in unwanted:
            if version.number not in coming:  # what takes its place
                self._retire(version)

    def _retire(self, version: Version) -> None:
        with self._lock:
            if version.loading:  # its own thread comes here when it is done
                return
            if version.state is State.AVAILABLE:
                version.state = State.UNLOADING
            elif version.state is not State.UNLOADING:
                version.state = State.END
        self._close_if_idle(version)

    def _close_if_idle(self, version: Version) -> None:
        with self._lock:
            if version.state is not State.UNLOADING or version.users:
                return
            servable, version.servable = version.servable, None
        if servable is not None:
            self._unloads.run(functools.partial(_close, version, servable))

    def _warn(self, message: str) -> None:
        self.problem = message
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message)


def _close(version: Version, servable: Servable) -> None:
    servable.close()
    version.state = State.END


def not_found(name: str, number: int | None = None) -> StatusError:
    """The NOT_FOUND of a model or a version that cannot answer."""
    request = f"Latest({name})"
    if number is not None:
        request = f"Specific({name}, {number})"
    return StatusError(
        grpc.StatusCode.NOT_FOUND,
        f"Servable not found for request: {request}",
    )
