"""On-policy distillation: the reward of a token is the teacher's surplus."""

import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.policies import storage
from tf_tokenrl.rewards import teacher as module

EXAMPLES = [Example("open a file"), Example(""), Example("the list")]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    policy = tiny.policy("gru", seed=7, temperature=0.5)
    return str(storage.save(policy, tmp_path_factory.mktemp("t") / "t.keras"))


@pytest.fixture(scope="module")
def rollout():
    return tiny.sample(
        tiny.shared_policy("gru"), [example.prompt for example in EXAMPLES]
    )


def test_a_token_earns_what_the_teacher_gives_it_more(path, rollout):
    """At temperature 1, whatever the teacher samples at."""
    student, teacher = tiny.shared_policy("gru"), storage.load(path)
    found = rewards.get("teacher", policy=path)(
        EXAMPLES, student.decode(rollout), rollout
    )
    theirs = teacher.score(rollout, temperature=1.0).log_probs.numpy()
    wanted = np.where(rollout.mask, theirs - rollout.log_probs, 0.0)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(found[rollout.mask]).max() > 0.01


def test_a_policy_is_its_own_teacher_at_no_reward(tmp_path, rollout):
    student = tiny.shared_policy("gru")
    path = str(storage.save(student, tmp_path / "same.keras"))
    found = rewards.get("teacher", policy=path)(
        EXAMPLES, student.decode(rollout), rollout
    )
    np.testing.assert_allclose(found, 0.0, atol=1e-5)


def test_its_mean_is_minus_the_divergence():
    """Student (.7, .2, .1), teacher (.3, .3, .4): -0.373386 nats."""
    student, teacher = np.array([0.7, 0.2, 0.1]), np.array([0.3, 0.3, 0.4])
    surplus = np.log(teacher) - np.log(student)
    np.testing.assert_allclose(
        surplus, [-0.847298, 0.405465, 1.386294], atol=1e-6
    )
    assert student @ surplus == pytest.approx(-0.373386, abs=1e-6)


def test_a_teacher_with_other_tokens_is_refused(path, rollout, monkeypatch):
    """Of the same size, with two ids exchanged."""
    reward = rewards.get("teacher", policy=path)
    responses = tiny.shared_policy("gru").decode(rollout)
    first, second = np.unique(rollout.actions[rollout.mask])[-2:]
    exchanged = rollout.actions.copy()
    exchanged[rollout.actions == first] = second
    exchanged[rollout.actions == second] = first
    judge = module._load(path)
    read = judge.policy.decode(rollout._replace(actions=exchanged))
    assert read != responses
    monkeypatch.setattr(judge.policy, "decode", lambda _: read)
    with pytest.raises(TokenRLError, match="vocabulary is not the policy's"):
        reward(EXAMPLES, responses, rollout)


def test_a_token_earns_the_same_whatever_follows(path):
    student = tiny.shared_policy("gru")
    answers = ["the name of a file", "the name list"]
    pairs = student.encode_pairs(["open"] * 2, answers)
    found = rewards.get("teacher", policy=path)(
        [Example("open")] * 2, student.decode(pairs), pairs
    )
    same = np.cumprod(pairs.actions[0] == pairs.actions[1]).astype(bool)
    assert 2 <= same.sum() < len(same)
    np.testing.assert_allclose(found[0][same], found[1][same], atol=1e-6)
