"""When a call is tried again, and when it is given up.

Nothing here waits or calls: the clients do, each in its own way.
"""

import numbers
import random
import time

import grpc

from tf_tokenrl.client.errors import ServingError, Unavailable, from_rpc
from tf_tokenrl.client.replies import VersionStatus
from tf_tokenrl.client.servers import Servers
from tf_tokenrl.errors import TokenRLError

_LONGEST_TIMEOUT = 10**8  # seconds, three years: gRPC overflows far above
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 1.0  # seconds between two tries
_FIRST_LOOK, _LONGEST_LOOK = 0.05, 1.0  # seconds between two looks


def seconds(timeout: float) -> float:
    """A time to wait, once it is one.

    Raises:
        TokenRLError: it is not a number above 0, or is without an end.
    """
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, numbers.Real)
        or not 0 < timeout <= _LONGEST_TIMEOUT  # which NaN is not
    ):
        raise TokenRLError(
            f"timeout={timeout!r} must be a number of seconds above 0, and "
            f"{_LONGEST_TIMEOUT:,} at most."
        )
    return timeout


class Attempts:
    """One call's way through the servers, without making it.

        while True:
            address = attempts.begin()
            try:
                ...  # call there, within attempts.remaining seconds
                attempts.succeeded()
            except grpc.RpcError as error:
                ...  # sleep for attempts.pause(error) seconds

    Args:
        servers: where to.
        model: whom the errors name.
        timeout: seconds for all tries.
        tries: rounds through all servers.
    """

    def __init__(
        self, servers: Servers, model: str, timeout: float, tries: int
    ):
        self._servers = servers
        self._model = model
        self._end = time.monotonic() + seconds(timeout)
        self._tries = tries
        self._done = 0
        self._address = ""

    @property
    def remaining(self) -> float:
        """Seconds that the call may still take."""
        return self._end - time.monotonic()

    def begin(self) -> str:
        """The address to call next."""
        self._address = self._servers.pick()
        return self._address

    def succeeded(self) -> None:
        """The call was answered."""
        self._servers.answered(self._address)

    def pause(self, error: grpc.RpcError, answered: bool = False) -> float:
        """Seconds to wait before the next try: none while servers are left.

        Args:
            error: how the call failed.
            answered: a part of the answer has come already.

        Raises:
            ServingError: the failure is final. Only UNAVAILABLE is tried
                again, and only within the timeout.
        """
        failure = from_rpc(error, self._address, self._model)
        if answered or not isinstance(failure, Unavailable):
            raise failure from error
        self._servers.failed(self._address)
        self._done += 1
        rounds, within = divmod(self._done, len(self._servers.addresses))
        pause = 0.0
        if not within:
            pause = min(_FIRST_PAUSE * 2 ** (rounds - 1), _LONGEST_PAUSE)
            pause *= random.uniform(0.5, 1.5)  # clients must not come as one
        if rounds >= self._tries or pause >= self.remaining:
            raise failure from error
        return pause


class Readiness:
    """Looks at a model's versions, until one answers or time is up.

    Args:
        servers: where it is served.
        model: its name.
        timeout: seconds to wait.
    """

    def __init__(self, servers: Servers, model: str, timeout: float):
        self._servers = servers
        self._model = model
        self._seconds = seconds(timeout)
        self._end = time.monotonic() + timeout
        self._pause = _FIRST_LOOK
        self._reason = ""
        self.over = False

    @property
    def remaining(self) -> float:
        """Seconds that a look may take."""
        return max(self._end - time.monotonic(), _FIRST_LOOK)

    def saw(self, versions: list[VersionStatus]) -> None:
        """The server named these versions."""
        self.over = any(v.state == "AVAILABLE" for v in versions)
        self._reason = f"its versions are {versions}"

    def failed(self, error: ServingError) -> None:
        """The server could not say."""
        self._reason = f"{error.code.name}: {error.text}".rstrip(".")

    def pause(self) -> float:
        """Seconds until the next look.

        Raises:
            Unavailable: time is up.
        """
        if self.over:
            return 0.0
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unavailable(
                f'Model "{self._model}" at {self._servers} was not ready '
                f"within {self._seconds:g} seconds: {self._reason}."
            )
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_LOOK)
        return min(pause, left)
