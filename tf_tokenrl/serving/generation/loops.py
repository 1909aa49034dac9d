"""The loops of all versions that are being asked."""

import collections
import threading

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

    def write(self, version: Version, pending: PendingRequest) -> None:
        """Write a request's answers.

        A version has one loop for as long as any answer is in work, even for
        nobody: its slots bound what the version does, whoever waits.

        Args:
            version: an acquired one; `pending.held` gives it back.
            pending: a new one.

        Raises:
            StatusError: the version cannot stream, the request asks for
                what has no meaning, or too many answers are waiting.
        """
        try:
            for row in pending.waiting:
                row.request.check(self._settings.longest_prompt)
            with self._lock:
                if version not in self._loops:
                    generator = Generator(version.loaded)
                    self._loops[version] = Loop(generator, self._settings)
                self._users[version] += 1
                loop = self._loops[version]
            pending.held.callback(self._let_go, version)
            loop.submit(pending)
        except BaseException:
            pending.held.close()
            raise

    def _let_go(self, version: Version) -> None:
        with self._lock:
            self._users[version] -= 1
            if not self._users[version]:
                del self._users[version], self._loops[version]
