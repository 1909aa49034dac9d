"""Encrypted connections."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from tf_tokenrl.errors import TokenRLError


@dataclass(frozen=True)
class TLS:
    """With what a connection is encrypted; all files are PEM.

    Attributes:
        authority: certificates that the server's must descend from; those of
            the system by default.
        certificate: this side's own chain, for a server that asks for one.
        key: the private key of `certificate`.
        server_name: the name in the server's certificate, where it is not
            the host of the address (for a UNIX socket, for instance).
    """

    authority: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC encrypts with.

        Raises:
            TokenRLError: a file cannot be read, or `certificate` and `key`
                are not given together.
        """
        if (self.certificate is None) != (self.key is None):
            raise TokenRLError(
                "A client's certificate and its key go together: give both "
                "or neither."
            )
        return grpc.ssl_channel_credentials(
            _read(self.authority), _read(self.key), _read(self.certificate)
        )

    def options(self) -> list[tuple[str, str]]:
        """What the channel must know besides."""
        if self.server_name is None:
            return []
        return [("grpc.ssl_target_name_override", self.server_name)]


def _read(path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TokenRLError(
            f'Cannot read "{path}" for TLS: {error.strerror}.'
        ) from error
