"""The divergence from the reference as a reward."""

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError


def test_k1_is_the_difference_of_log_probs(examples, responses, make_rollout):
    rollout = make_rollout(responses)
    result = rewards.get("kl")(examples, responses, rollout)
    difference = rollout.log_probs - rollout.reference_log_probs
    np.testing.assert_allclose(
        result[rollout.mask], difference[rollout.mask], rtol=1e-6
    )


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_no_departure_costs_nothing(
    examples, responses, make_rollout, estimator
):
    rollout = make_rollout(responses)
    rollout = rollout._replace(reference_log_probs=rollout.log_probs)
    reward = rewards.get("kl", estimator=estimator)
    assert not reward(examples, responses, rollout).any()


def test_score_minus_divergence_adds_up(examples, responses, make_rollout):
    """Each text: sum of rewards + beta * sum of KL == its score, once."""
    batch = examples, responses, make_rollout(responses)
    total = rewards.parse("rouge(dense=False) - 0.05 * kl")(*batch)
    divergence = rewards.get("kl")(*batch)
    score = rewards.get("rouge", dense=False)
    np.testing.assert_allclose(
        total.sum(axis=1) + 0.05 * divergence.sum(axis=1),
        [score.score(e, r) for e, r in zip(examples, responses, strict=True)],
        atol=1e-6,
    )


def test_impossible_under_the_reference_is_named(
    examples, responses, make_rollout
):
    rollout = make_rollout(responses)
    rollout.reference_log_probs[1, 1] = -np.inf
    with pytest.raises(TokenRLError, match='position 1 of example "none"'):
        rewards.get("kl")(examples, responses, rollout)


def test_it_needs_a_reference(examples, responses, make_rollout):
    rollout = make_rollout(responses)._replace(reference_log_probs=None)
    with pytest.raises(TokenRLError, match="reference=policy.frozen_copy"):
        rewards.get("kl")(examples, responses, rollout)


def test_unknown_estimators_are_named():
    with pytest.raises(TokenRLError, match='"k4".*k1, k2, k3'):
        rewards.get("kl", estimator="k4")
