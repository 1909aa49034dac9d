"""Encryption, with the certificates of the walkthrough."""

import grpc
import pytest

from tests.client.conftest import Moody
from tests.support import certificates
from tf_tokenrl.client import TLS, Unavailable
from tf_tokenrl.errors import TokenRLError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Certificates of an authority that nobody here knows."""
    return certificates.make(tmp_path_factory.mktemp("other"))


def server(folder, mutual=False, address="127.0.0.1:0"):
    pair = [
        (folder / name).read_bytes() for name in ("server.key", "server.pem")
    ]
    authority = (folder / "authority.pem").read_bytes()
    return Moody(
        address, grpc.ssl_server_credentials([pair], authority, mutual)
    )


def mine(folder, **more):
    return TLS(
        folder / "authority.pem",
        folder / "client.pem",
        folder / "client.key",
        **more,
    )


def refused(kind, address, tls):
    with (
        kind(address, tls=tls, tries=1, timeout=10) as client,
        pytest.raises(Unavailable),
    ):
        client.predict({})


def test_a_server_that_is_trusted(kind, folder, stranger):
    with server(folder) as running:
        tls = TLS(folder / "authority.pem")
        with kind(running.address, tls=tls) as client:
            assert client.predict({}) == {}
        refused(kind, running.address, TLS(stranger / "authority.pem"))
        refused(kind, running.address, TLS())
        refused(kind, running.address, None)
    assert len(running.calls) == 1


def test_a_client_that_is_trusted(kind, folder, stranger):
    with server(folder, mutual=True) as running:
        with kind(running.address, tls=mine(folder)) as client:
            assert client.predict({}) == {}
        refused(kind, running.address, TLS(folder / "authority.pem"))
        theirs = TLS(
            folder / "authority.pem",
            stranger / "client.pem",
            stranger / "client.key",
        )
        refused(kind, running.address, theirs)
    assert len(running.calls) == 1


def test_a_name_that_is_not_the_host(kind, folder, tmp_path):
    address = f"unix:{tmp_path / 'socket'}"
    with server(folder, address=address) as running:
        with kind(
            address, tls=TLS(folder / "authority.pem", server_name="serving")
        ) as client:
            assert client.predict({}) == {}
        other = TLS(folder / "authority.pem", server_name="other")
        refused(kind, address, other)
    assert len(running.calls) == 1


def test_files_that_do_not_do(folder, kind):
    with pytest.raises(TokenRLError, match="both or neither"):
        kind(tls=TLS(certificate=folder / "client.pem"))
    with pytest.raises(TokenRLError, match="Cannot read .*nosuch.pem"):
        kind(tls=TLS(folder / "nosuch.pem"))
