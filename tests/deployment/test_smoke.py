"""The script that asks a server what the trainer was asked."""

import importlib.util
import json
from pathlib import Path

import pytest

from tests.support import served
from tf_tokenrl.client import Unavailable
from tf_tokenrl.parity import golden_answers
from tf_tokenrl.parity.golden_answers import RecordedAnswer
from tf_tokenrl.serving import Flags, Server

SCRIPT = Path(__file__).parents[2] / "serving" / "smoke.py"
GOOD = RecordedAnswer("ab", "ab", (97, 98), (0.0, 0.0))


@pytest.fixture(scope="module")
def smoke():
    spec = importlib.util.spec_from_file_location("smoke", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("m") / "echo", 1, "echo")
    flags = Flags(model_base_path=str(base), model_name="headline", port=0)
    with Server(flags) as server:
        yield f"localhost:{server.port}"


@pytest.mark.parametrize(
    ("answers", "status"),
    [([GOOD, GOOD], 0), ([GOOD, GOOD._replace(token_ids=(97, 99))], 1)],
)
def test_it_tells_the_same_from_the_other(
    smoke, address, tmp_path, capsys, answers, status
):
    path = golden_answers.write(tmp_path / "1.answers.jsonl", answers)
    assert smoke([str(path), "--address", address]) == status
    found = json.loads(capsys.readouterr().out)
    assert found["prompts"] == 2
    assert found["equal"] is (status == 0)


def test_a_model_that_is_not_there(smoke, address, tmp_path):
    path = str(golden_answers.write(tmp_path / "1.answers.jsonl", [GOOD]))
    with pytest.raises(Unavailable, match='Model "other" .* not ready'):
        smoke([path, "--address", address, "--model=other", "--wait=0.1"])
