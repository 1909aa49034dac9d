import io
import json
import socket

import pytest

from pipelines.query import QueryOptions, main
from tests.support import served
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("echo"), 1, "echo")
    flags = Flags(model_base_path=str(base), model_name="headline", port=0)
    with Server(flags) as server:
        yield f"localhost:{server.port}"


def test_answers_in_the_order_of_the_prompts(address, capsys):
    prompts = ("first", "second", "third")
    main(QueryOptions(prompts, address=address, batch_size=2))
    assert capsys.readouterr().out == "first\nsecond\nthird\n"


def test_prompts_from_standard_input_and_json(address, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("é\n\nab\n"))
    main(QueryOptions(address=address, temperature=0.5, json=True))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["text"] == first["prompt"] == "é"
    assert second["token_ids"] == [97, 98]
    assert second["log_probs"] == [-0.5, -0.5]
    assert second["version"] == 1


def test_nothing_to_ask(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
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
