"""TLS, with the file of the walkthrough."""

import pytest

from tests.support import certificates, served
from tests.support.asking import SECONDS, X
from tf_tokenrl.client import TLS, Client, Unavailable
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.rpc.encryption import credentials


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = certificates.make(tmp_path_factory.mktemp("tls"))
    served.put(made / "half", 1)
    text = (made / "ssl.config").read_text().replace("true", "false")
    (made / "open.config").write_text(text)
    return made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("other"))


def serve(folder, config):
    return Server(
        Flags(
            model_base_path=str(folder / "half"),
            model_name="half",
            port=0,
            grpc_socket_path=str(folder / "grpc"),
            ssl_config_file=str(folder / config),
        )
    )


def answer(address, tls, **options):
    with Client(address, "half", tls=tls, timeout=SECONDS, **options) as client:
        return client.predict({"x": X})["y"].tolist()


def test_tls_and_mutual_tls(folder, stranger):
    authority = folder / "authority.pem"
    mine = (folder / "client.pem", folder / "client.key")
    theirs = (stranger / "client.pem", stranger / "client.key")
    with serve(folder, "open.config") as server:
        address = f"localhost:{server.port}"
        assert answer(address, TLS(authority)) == [[2.5], [3.0]]
        for tls in (None, TLS(stranger / "authority.pem")):
            with pytest.raises(Unavailable):
                answer(address, tls, tries=1)
    with serve(folder, "ssl.config") as server:
        address = f"localhost:{server.port}"
        assert answer(address, TLS(authority, *mine)) == [[2.5], [3.0]]
        named = TLS(authority, *mine, server_name="localhost")
        assert answer(f"unix:{folder}/grpc", named) == [[2.5], [3.0]]
        for tls in (TLS(authority), TLS(authority, *theirs)):
            with pytest.raises(Unavailable):
                answer(address, tls, tries=1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('server_key: "server.key"', "server_key must hold the text of a PEM"),
        (
            'server_key: "-----BEGIN" server_cert: "-----BEGIN" '
            "client_verify: true",
            "client_verify needs custom_ca",
        ),
        (
            "server_kye: 1",
            "Error parsing text-format tensorflow.serving.SSLConfig",
        ),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, sentence):
    path = tmp_path / "ssl.config"
    path.write_text(text)
    with pytest.raises(TokenRLError, match=sentence):
        credentials(Flags(ssl_config_file=str(path)))


def pem(path):
    return path.read_text().replace("\n", "\\n")


@pytest.mark.parametrize(
    ("key", "certificate", "more", "sentence"),
    [
        ("other", "server", "", "server_key is not the key of server_cert"),
        ("certificate", "server", "", "server_key is not a private key"),
        ("server", "broken", "", "server_cert is not a certificate"),
        ("server", "key", "", "server_cert is not a certificate"),
        ("server", "server", 'custom_ca: "x"', "custom_ca is not a cert"),
    ],
)
def test_mistakes_are_told_before_the_models_are_loaded(
    folder, stranger, tmp_path, key, certificate, more, sentence
):
    keys = {
        "server": pem(folder / "server.key"),
        "other": pem(stranger / "server.key"),
        "certificate": pem(folder / "server.pem"),
    }
    certificates = {
        "server": pem(folder / "server.pem"),
        "key": pem(folder / "server.key"),
        "broken": "-----BEGIN CERTIFICATE-----\\nAAAA\\n"
        "-----END CERTIFICATE-----\\n",
    }
    path = tmp_path / "ssl.config"
    path.write_text(
        f'server_key: "{keys[key]}" '
        f'server_cert: "{certificates[certificate]}" {more}'
    )
    with pytest.raises(TokenRLError, match=sentence) as caught:
        credentials(Flags(ssl_config_file=str(path)))
    assert str(path) in str(caught.value)


def test_nothing_is_encrypted_unasked():
    assert credentials(Flags()) is None
