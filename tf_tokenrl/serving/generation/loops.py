"""The loops of all versions that are being asked."""

import collections
import contextlib
import threading
from collections.abc import Iterator

from tf_tokenrl.serving.generation.convention import Generator
from tf_tokenrl.serving.generation.loop import Loop, Settings
from tf_tokenrl.serving.generation.pending_request import PendingRequest
from tf_tokenrl.serving.models.versions import Version


class Loops:
    """Finds the loop for a request, or begins one.

    A version that is retired writes the answers it began; requests after
    that come to the loop of the next version.

    Args:
        settings: of every loop.
    """

    def __init__(self, settings: Settings):
        self._settings = settings
        self._lock = threading.Lock()
        self._users: collections.Counter[Version] = collections.Counter()
        self._loops: dict[Version, Loop] = {}

    @contextlib.contextmanager
    def writing(
        self, version: Version, pending: PendingRequest
    ) -> Iterator[None]:
        """Write a request's answers; it is cancelled when the block ends.

        Args:
            version: an acquired one.
            pending: a new one.

        Raises:
            StatusError: the version cannot stream, or too many answers are
                waiting.
        """
        with self._of(version) as loop:
            loop.submit(pending)
            try:
                yield
            finally:
                pending.cancel()

    @contextlib.contextmanager
    def _of(self, version: Version) -> Iterator[Loop]:
        with self._lock:
            if version not in self._loops:
                assert version.servable is not None  # as it is in use
                generator = Generator(version.servable)
                loop = Loop(generator, self._settings)
                self._loops[version] = loop
            self._users[version] += 1
            loop = self._loops[version]
        try:
            yield loop
        finally:
            with self._lock:
                self._users[version] -= 1
                if not self._users[version]:
                    del self._users[version], self._loops[version]
