"""Errors, worded as the real server words them."""

import grpc

from tf_tokenrl.errors import TokenRLError

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_LONGEST = 1024  # bytes of a message that reach the client


class StartError(TokenRLError):
    """The models cannot be served; the process ends as the real server's."""

    exit_code = 255


class StatusError(Exception):
    """A gRPC status code and its text."""

    def __init__(self, code: grpc.StatusCode, text: str):
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def of(cls, error: Exception) -> "StatusError":
        """The status that an exception of TensorFlow or Python stands for."""
        if isinstance(error, cls):
            return error
        number = getattr(error, "error_code", None)
        text = getattr(error, "message", None) or str(error)
        return cls(_CODES.get(number, grpc.StatusCode.UNKNOWN), text)

    @property
    def truncated(self) -> str:
        """The text as it is sent: 1024 bytes at most, and a mark if cut."""
        data = self.text.encode()
        if len(data) <= _LONGEST:
            return self.text
        return data[:_LONGEST].decode(errors="ignore") + "...TRUNCATED"

    def __str__(self) -> str:
        return f"{self.code.name}: {self.text}"


def invalid(text: str) -> StatusError:
    """An INVALID_ARGUMENT."""
    return StatusError(grpc.StatusCode.INVALID_ARGUMENT, text)
