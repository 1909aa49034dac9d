"""Likelihood under a frozen model."""

import numpy as np
import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Scores


def test_the_mean_is_minus_the_log_of_perplexity(
    examples, responses, make_rollout
):
    rollout = make_rollout(responses, junk=np.nan)
    result = rewards.get("perplexity")(examples, responses, rollout)
    chosen = rollout.reference_log_probs[rollout.mask]
    perplexity = np.prod(1 / np.exp(chosen)) ** (1 / len(chosen))
    np.testing.assert_allclose(
        result[rollout.mask].mean(), -np.log(perplexity), rtol=1e-5
    )


def test_a_policy_of_its_own_scores(examples, responses, make_rollout):
    class Halving:
        def score(self, rollout):
            log_probs = np.where(rollout.mask, np.log(0.5), np.nan)
            return Scores(log_probs, rollout.values, rollout.values)

    reward = rewards.get("perplexity", policy=Halving())
    rollout = make_rollout(responses)._replace(reference_log_probs=None)
    result = reward(examples, responses, rollout)
    np.testing.assert_allclose(result[rollout.mask], np.log(0.5), rtol=1e-6)


def test_it_needs_a_model(examples, responses, make_rollout):
    rollout = make_rollout(responses)._replace(reference_log_probs=None)
    with pytest.raises(TokenRLError, match="frozen language model"):
        rewards.get("perplexity")(examples, responses, rollout)
