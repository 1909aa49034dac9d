"""The walkthrough of TLS ends with a server that is asked over TLS."""

import pytest

from tests.support import certificates, served
from tf_tokenrl.client import TLS, Client, Unavailable
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def address(folder, tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("m") / "echo", 1, "echo")
    flags = Flags(
        model_base_path=str(base),
        model_name="headline",
        port=0,
        ssl_config_file=str(folder / "ssl.config"),
    )
    with Server(flags) as server:
        yield f"localhost:{server.port}"


def test_keys_are_for_their_owner_only(folder):
    for file in (*folder.glob("*.key"), folder / "ssl.config"):
        assert not file.stat().st_mode & 0o077


def test_a_client_with_a_certificate_is_answered(folder, address):
    tls = TLS(
        folder / "authority.pem", folder / "client.pem", folder / "client.key"
    )
    with Client(address, tls=tls) as client:
        assert client.generate("ab").text == "ab"


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_client_without_one_is_not(folder, address, encrypted):
    tls = TLS(folder / "authority.pem") if encrypted else None
    with (
        Client(address, tls=tls, tries=1) as client,
        pytest.raises(Unavailable),
    ):
        client.generate("ab")
