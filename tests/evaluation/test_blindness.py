"""Rewards that are 0 for the references themselves are named."""

import json

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.evaluation import blindness
from tf_tokenrl.flow import Example

EXAMPLES = [Example("a", ("the cat",)), Example("b", ("猫坐在",)), Example("c")]


@pytest.mark.parametrize(
    "text",
    [
        "rouge",
        "dense(bleu(tokenize='char'))",
        "squad_f1 - 2 * regex(pattern='[0-9]+')",  # a fault, to be subtracted
        "exact_match + 0.1 * kl - repetition",
        "token_accuracy",
    ],
)
def test_rewards_that_see_are_not_named(text, capsys):
    assert blindness.warn(rewards.parse(text), EXAMPLES) == []
    assert not capsys.readouterr().err


def test_the_blind_part_of_a_mixture_is_named(capsys):
    reward = rewards.parse("rouge + 0.5 * normalize(regex(pattern='[0-9]+'))")
    (found,) = blindness.warn(reward, EXAMPLES)
    assert found.startswith("regex")
    assert "0 for each of the first 2 reference" in capsys.readouterr().err


def test_ratings_of_other_prompts_are_named(tmp_path, capsys):
    path = tmp_path / "ratings.jsonl"
    path.write_text(json.dumps({"prompt": "z", "answer": "y", "score": 1}))
    reward = rewards.get("human_ratings", path=str(path))
    blindness.warn(reward, EXAMPLES)
    assert "no prompt of the 3 examples is rated" in capsys.readouterr().err
    path.write_text(json.dumps({"prompt": "a ", "answer": "y", "score": 1}))
    other = tmp_path / "other.jsonl"
    other.write_text(path.read_text())
    blindness.warn(rewards.get("human_ratings", path=str(other)), EXAMPLES)
    assert not capsys.readouterr().err


def test_without_references_nothing_is_said(capsys):
    assert blindness.warn(rewards.parse("rouge"), [Example("c")]) == []
    assert not capsys.readouterr().err
