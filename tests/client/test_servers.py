"""Several servers of one model."""

import contextlib

import pytest

from tests.client.conftest import Moody
from tf_tokenrl.client import Unavailable, servers
from tf_tokenrl.client.servers import Servers
from tf_tokenrl.errors import TokenRLError

SECONDS = 20


def picks(chosen, count):
    return [chosen.pick() for _ in range(count)]


def test_each_in_turn():
    assert picks(Servers("a:1,b:2"), 4) == ["a:1", "b:2", "a:1", "b:2"]
    assert picks(Servers(["unix:/a", "b:2"]), 3) == ["unix:/a", "b:2"] + [
        "unix:/a"
    ]


def test_one_that_failed_is_asked_last_until_it_answers():
    three = Servers("a:1,b:2,c:3")
    three.failed("b:2")
    assert "b:2" not in picks(three, 9)
    three.answered("b:2")
    assert sorted(picks(three, 3)) == ["a:1", "b:2", "c:3"]


def test_when_all_failed_the_most_rested_is_asked():
    two = Servers("a:1,b:2")
    two.failed("b:2")
    two.failed("a:1")
    assert picks(two, 2) == ["b:2", "b:2"]


def test_rest_ends(monkeypatch):
    monkeypatch.setattr(servers, "_REST_SECONDS", 0.0)
    two = Servers("a:1,b:2")
    two.failed("a:1")
    assert sorted(picks(two, 2)) == ["a:1", "b:2"]


@pytest.fixture
def pair():
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Moody()) for _ in range(2)]


def test_calls_are_shared_out(kind, pair):
    with kind([server.address for server in pair]) as both:
        for _ in range(6):
            both.predict({})
    assert [len(server.calls) for server in pair] == [3, 3]


def test_a_server_that_is_down_costs_no_call(kind, pair, nobody):
    addresses = [nobody, *(server.address for server in pair)]
    with kind(",".join(addresses), tries=1) as three:
        for _ in range(6):
            three.predict({})
    assert [len(server.calls) for server in pair] == [3, 3]


def test_a_unix_socket(kind, tmp_path):
    address = f"unix:{tmp_path / 'socket'}"
    with Moody(address) as server, kind(address) as client:
        assert client.predict({}) == {}
    assert len(server.calls) == 1


def test_all_are_down(kind, nobody):
    with (
        kind([nobody, nobody.replace("127.0.0.1", "localhost")], tries=1) as no,
        pytest.raises(Unavailable),
    ):
        no.predict({})


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("localhost:1", True),
        ("127.0.0.1:1", True),
        ("127.8.9.10:1", True),
        ("[::1]:1", True),
        ("unix:/a", True),
        ("unix-abstract:a", True),
        ("localhost.example.org:1", False),
        ("10.0.0.1:1", False),
        ("[::2]:1", False),
    ],
)
def test_this_machine_is_known_by_its_addresses(address, loopback):
    assert servers.is_loopback(address) is loopback


def test_no_proxy_leads_back_to_this_machine(kind, pair, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with kind(pair[0].address, tries=1) as one:
        one.predict({})
    assert len(pair[0].calls) == 1


def test_a_proxy_is_named_where_it_may_be_the_reason(kind, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with (
        kind("host.invalid:1", tries=1, timeout=SECONDS) as one,
        pytest.raises(Unavailable, match="proxy .* http_proxy=http://127"),
    ):
        one.predict({})


@pytest.mark.parametrize("port", [65536, 99999])
def test_a_port_beyond_16_bits_is_none(port):
    with pytest.raises(TokenRLError, match="is no address"):
        Servers(f"a:{port}")
