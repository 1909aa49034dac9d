"""TLS, as the file of `--ssl_config_file` asks for it."""

import grpc

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
    ssl = schema.read(path, schema.SSLConfig(), "ssl_config_file", secret=True)
    for field in ("server_key", "server_cert"):
        if "-----BEGIN" not in getattr(ssl, field):
            raise TokenRLError(
                f'"{path}": {field} must hold the text of a PEM file, not '
                "its path."
            )
    if ssl.client_verify and not ssl.custom_ca:
        raise TokenRLError(
            f'"{path}": client_verify needs custom_ca, the PEM text of the '
            "authority that signs the clients' certificates."
        )
    return grpc.ssl_server_credentials(
        [(ssl.server_key.encode(), ssl.server_cert.encode())],
        root_certificates=ssl.custom_ca.encode() or None,
        require_client_auth=ssl.client_verify,
    )
