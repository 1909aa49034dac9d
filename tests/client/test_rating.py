"""Answers that go into a feedback store as they come, and are judged."""

import subprocess
import sys

import pytest

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import FeedbackStore


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/feedback.db"


def test_answers_are_stored_as_they_were_drawn(client, url):
    options = {"temperature": [0.5, 1.0], "seed": 3, "top_p": 0.9}
    replies = client.generate(
        ["ab", "cde"], feedback=url, user="u1", top_k=[0, 2], **options
    )
    with FeedbackStore(url) as store:
        for row, reply in enumerate(replies):
            answer = store.get(reply.key)
            assert answer.text == answer.prompt == reply.text
            assert answer.token_ids == reply.token_ids
            assert answer.log_probs == reply.log_probs
            assert answer.temperature == options["temperature"][row]
            assert (answer.seed, answer.top_k) == (3, [0, 2][row])
            assert answer.top_p == 0.9 and answer.user_hash == "u1"
            assert (answer.model, answer.version) == ("headline", 2)
            assert answer.finish == ("stop" if reply.stopped else "length")


def test_everything_can_be_said(client, url):
    with FeedbackStore(url) as store:
        first, second = client.generate(["same", "same"], feedback=store)
        alone = client.generate("other")  # where the last one went
        client.rate(
            first,
            score=0.5,
            thumb=1,
            better_than=second,
            edit="more",
            spans=[(0, 2, -1.0), (2, 4, 1)],
            rater="r",
            comment="so so",
        )
        client.rate(alone, thumb=-1)
        found = [judged.judgement for judged in store.read()]
        kinds = [said.kind for said in found]
        assert kinds == [
            "score",
            "thumb",
            "pair",
            "edit",
            *["span"] * 2,
            "thumb",
        ]
        assert {s.answer for s in found} == {first.key, alone.key}
        assert {s.rater for s in found[:6]} == {"r"}
        assert found[2].other == second.key


def test_the_arm_is_the_label_that_was_asked_for(kind, address, url):
    with kind(address, label="stable", feedback=url) as client:
        reply = client.generate("a")
        assert reply.version == 1
        client.rate(reply, thumb=1)
    with FeedbackStore(url) as store:
        (judged,) = store.read()
        assert (judged.answer.version, judged.answer.label) == (1, "stable")


def test_what_cannot_be_stored_is_said(client, url, tmp_path):
    plain = client.generate("ab")
    assert plain.key == ""
    with pytest.raises(TokenRLError, match="no feedback store"):
        client.rate(plain, thumb=1)
    with pytest.raises(TokenRLError, match="not in a feedback store"):
        client.rate(plain, thumb=1, feedback=url)
    reply = client.generate("ab", feedback=url)
    with pytest.raises(TokenRLError, match="Nothing is said"):
        client.rate(reply)
    with pytest.raises(TokenRLError, match="2 characters"):
        client.rate(reply, spans=[(0, 3, 1.0)])
    other = f"sqlite:///{tmp_path}/other.db"
    with pytest.raises(TokenRLError, match="no answer"):
        client.rate(reply, thumb=1, feedback=other)
    with pytest.raises(TokenRLError, match="feedback store"):
        client.generate("ab", feedback="mysql://nowhere/x")


SCRIPT = """
import os, signal, sys
from tf_tokenrl.client import Client
client = Client(sys.argv[1], feedback=sys.argv[2])
client.rate(client.generate("ab"), thumb=1)
end = sys.argv[3]
if end == "exit":
    raise SystemExit(3)
if end == "term":
    os.kill(os.getpid(), signal.SIGTERM)
if end == "error":
    raise RuntimeError
"""


@pytest.mark.parametrize("end", ["return", "exit", "term", "error"])
def test_a_judgement_is_stored_when_the_call_returns(address, url, end):
    command = [sys.executable, "-c", SCRIPT, address, url, end]
    done = subprocess.run(command, capture_output=True)
    assert (done.returncode == 0) == (end == "return"), done.stderr
    with FeedbackStore(url) as store:
        assert store.counts() == {"answers": 1, "judgements": 1}


def test_without_feedback_no_database_is_imported(address):
    code = f"""
import sys
from tf_tokenrl.client import Client
with Client({address!r}) as client:
    assert client.generate("ab").key == ""
assert "sqlalchemy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr
