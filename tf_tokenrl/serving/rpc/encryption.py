"""TLS, as the file of `--ssl_config_file` asks for it."""

import ssl
import tempfile
from pathlib import Path

import grpc
from google.protobuf.message import Message

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import schema
from tf_tokenrl.serving.flags import Flags


def credentials(flags: Flags) -> grpc.ServerCredentials | None:
    """The server's key and certificate, and whom it lets in.

    Returns:
        None where the flags name no file: then nothing is encrypted.

    Raises:
        TokenRLError: the file is not usable.
    """
    path = flags.ssl_config_file
    if not path:
        return None
    ssl_config = schema.read(
        path, schema.SSLConfig(), "ssl_config_file", secret=True
    )
    for field in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(ssl_config, field):
            raise TokenRLError(
                f'"{path}": {field} must hold the text of a PEM file, not '
                "its path."
            )
    if ssl_config.client_verify and not ssl_config.custom_ca:
        raise TokenRLError(
            f'"{path}": client_verify needs custom_ca, the PEM text of the '
            "authority that signs the clients' certificates."
        )
    _check(ssl_config, path)
    return grpc.ssl_server_credentials(
        [(ssl_config.server_key.encode(), ssl_config.server_cert.encode())],
        root_certificates=ssl_config.custom_ca.encode() or None,
        require_client_auth=ssl_config.client_verify,
    )


def _check(config: Message, path: str) -> None:
    """Try the texts out: gRPC would only say that it cannot listen.

    Raises:
        TokenRLError: naming the field that is wrong.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # readable by this user only
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        key.write_text(config.server_key, "utf-8")
        certificate.write_text(config.server_cert, "utf-8")
        try:
            context.load_verify_locations(cafile=certificate)
        except (ssl.SSLError, ValueError) as error:
            raise _wrong(path, "server_cert is not a certificate") from error
        try:
            # Asked for a password, OpenSSL would wait at the terminal.
            context.load_cert_chain(certificate, key, password=lambda: "")
        except ssl.SSLError as error:
            reason = "server_key is not a private key without a password"
            if error.reason == "KEY_VALUES_MISMATCH":
                reason = "server_key is not the key of server_cert"
            raise _wrong(path, reason) from error
    if config.custom_ca:
        try:
            context.load_verify_locations(cadata=config.custom_ca)
        except (ssl.SSLError, ValueError) as error:
            raise _wrong(path, "custom_ca is not a certificate") from error


def _wrong(path: str, reason: str) -> TokenRLError:
    return TokenRLError(f'Correct "{path}": {reason}, in PEM.')
