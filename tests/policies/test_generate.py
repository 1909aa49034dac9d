"""`policy.generate`: what a person asks a policy at hand."""

import pytest

import tf_tokenrl as rl
from tests.support import tiny
from tf_tokenrl import evaluation
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.policies import storage

PROMPTS = ["open a file", "return the name of a list"]


def test_greedy_answers_are_those_of_evaluation():
    policy = tiny.shared_policy("gru")
    found = policy.generate(PROMPTS)
    wanted = evaluation.answer(policy, [Example(p) for p in PROMPTS]).responses
    assert [r.text for r in found] == [r.text for r in wanted]
    assert policy.generate([]) == []


def test_sampling_follows_seed_and_settings():
    policy = tiny.shared_policy("gru")
    first = policy.generate(PROMPTS, seed=3, temperature=1.0)
    assert policy.generate(PROMPTS, seed=3, temperature=1.0) == first
    others = [policy.generate(PROMPTS, seed=s, temperature=1.0) for s in (4, 5)]
    assert any(other != first for other in others)
    short = policy.generate(PROMPTS, temperature=1.0, max_new_tokens=2)
    assert all(len(r.token_ids) <= 2 for r in short)
    with pytest.raises(TokenRLError, match='setting "temprature".*temperature'):
        policy.generate(PROMPTS, temprature=1.0)


def test_a_policy_is_loaded_by_its_path(tmp_path):
    policy = tiny.shared_policy("gru")
    path = storage.save(policy, tmp_path / "policy.keras")
    assert rl.load(path).generate(PROMPTS) == policy.generate(PROMPTS)
