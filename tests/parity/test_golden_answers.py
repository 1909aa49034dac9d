import pytest

from tests.support import served
from tf_tokenrl.client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.parity import golden_answers
from tf_tokenrl.parity.golden_answers import RecordedAnswer
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("m") / "echo", 1, "echo")
    flags = Flags(model_base_path=str(base), model_name="echo", port=0)
    with (
        Server(flags) as server,
        Client(f"localhost:{server.port}", "echo") as client,
    ):
        yield client


def answered(prompt, shift=0, off=0.0):
    """What the echo says, or something near it."""
    ids = tuple(ord(character) + shift for character in prompt)
    return RecordedAnswer(prompt, prompt, ids, (off,) * len(ids))


def test_what_is_written_is_read(tmp_path):
    answers = [answered("é\n\u2028"), answered("", 0), answered("b", 0, -1e-9)]
    path = golden_answers.write(tmp_path / "a.jsonl", answers)
    assert golden_answers.read(path) == answers
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_it_lies_beside_the_version_and_is_none():
    path = golden_answers.beside("savedmodels/headline/3")
    assert str(path) == "savedmodels/headline/3.answers.jsonl"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no answers"),
        ('{"prompt": "a"}', "a.jsonl:1 is no recorded answer"),
        ("\n[]", "a.jsonl:2 is no recorded answer"),
        ('{"prompt"', "no recorded answer"),
    ],
)
def test_what_cannot_be_read(tmp_path, text, said):
    path = tmp_path / "a.jsonl"
    with pytest.raises(TokenRLError, match="Cannot read"):
        golden_answers.read(path)
    path.write_text(text)
    with pytest.raises(TokenRLError, match=said):
        golden_answers.read(path)


def test_the_same_answers(echo):
    answers = [answered(text) for text in ("a", "", "bcd", "é")]
    found = golden_answers.compare(echo, answers, batch_size=3)
    assert found == {
        "prompts": 4,
        "identical_answers": 4,
        "largest_log_prob_gap": 0.0,
        "equal": True,
    }


def test_another_answer(echo):
    found = golden_answers.compare(
        echo, [answered("a"), answered("b", shift=1)]
    )
    assert found["identical_answers"] == 1
    assert not found["equal"]


@pytest.mark.parametrize(("off", "equal"), [(-0.9e-4, True), (1.1e-4, False)])
def test_another_log_prob(echo, off, equal):
    found = golden_answers.compare(
        echo, [answered("ab", off=off), answered("c")]
    )
    assert found["largest_log_prob_gap"] == pytest.approx(abs(off))
    assert found["equal"] is equal
