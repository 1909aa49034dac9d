import io
import json
import socket

import pytest

from tests.support import served
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.query import QueryOptions, main
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("echo"), 1, "echo")
    flags = Flags(model_base_path=str(base), model_name="headline", port=0)
    with Server(flags) as server:
        yield f"localhost:{server.port}"


def typed(monkeypatch, data):
    """Bytes on standard input, whatever the terminal's encoding is."""
    text = io.TextIOWrapper(io.BytesIO(data), "ascii")
    monkeypatch.setattr("sys.stdin", text)


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0c", "\x1e", "\r"])
def test_only_a_line_feed_ends_a_line(address, capsys, monkeypatch, mark):
    typed(monkeypatch, f"a{mark}b\r\nc".encode())
    main(QueryOptions(address=address, json=True))
    replies = capsys.readouterr().out.strip("\n").split("\n")
    prompts = [json.loads(reply)["prompt"] for reply in replies]
    assert prompts == [f"a{mark}b", "c"]


def test_a_line_that_is_not_utf_8_is_named(monkeypatch):
    typed(monkeypatch, b"tea\ncaf\xe9\n")
    with pytest.raises(TokenRLError, match="line 2, is not UTF-8 .*0xe9"):
        main(QueryOptions())


def test_a_terminal_of_another_encoding_shows_what_it_can(address, monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, "ascii"))
    main(QueryOptions(("aé",), address=address))
    assert shown.getvalue() == b"a\\xe9\n"


def test_prompts_that_were_cut_are_told(address, capsys):
    main(QueryOptions(("a", "b"), address=address, max_new_tokens=1))
    assert "2 of 2 prompts were longer" in capsys.readouterr().err


def test_answers_in_the_order_of_the_prompts(address, capsys):
    prompts = ("first", "second", "third")
    main(QueryOptions(prompts, address=address, batch_size=2))
    assert capsys.readouterr().out == "first\nsecond\nthird\n"


def test_prompts_from_standard_input_and_json(address, capsys, monkeypatch):
    typed(monkeypatch, "é\n\nab\n".encode())
    main(QueryOptions(address=address, temperature=0.5, json=True))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["text"] == first["prompt"] == "é"
    assert second["token_ids"] == [97, 98]
    assert second["log_probs"] == [-0.5, -0.5]
    assert second["version"] == 1


def test_nothing_to_ask(monkeypatch):
    typed(monkeypatch, b"\n")
    with pytest.raises(TokenRLError, match="give a prompt"):
        main(QueryOptions())


def test_no_server():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(TokenRLError) as caught:
            main(QueryOptions(("a",), address=address, timeout=0.2))
    assert address in str(caught.value)
    assert "tf-tokenrl serve" in str(caught.value)
