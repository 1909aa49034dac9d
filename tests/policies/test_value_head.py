import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import value_head

PROMPTS, ANSWERS = ["open a", "", "the"], ["file", "the name of a list", "or"]


def scores(policy):
    pairs = policy.encode_pairs(PROMPTS, ANSWERS)
    return policy.score(pairs).values.numpy()[pairs.mask]


def test_calibrated_scores_have_mean_0_and_variance_1():
    policy = tiny.policy("gru")
    before = scores(policy)
    mean, deviation = value_head.calibrate(policy, before)
    after = scores(policy)
    assert after.mean() == pytest.approx(0, abs=1e-5)
    assert after.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(after * deviation + mean, before, atol=1e-5)


def test_a_judge_of_constants_cannot_be_calibrated():
    with pytest.raises(TokenRLError, match="all 3 answers the same"):
        value_head.calibrate(tiny.shared_policy("gru"), np.ones(3))


def test_a_fresh_head_follows_its_seed():
    policy = tiny.policy("gru")
    value_head.make_fresh(policy, 1)
    kernel, bias = (w.numpy() for w in policy.value_head.weights)
    assert kernel.std() == pytest.approx(17**-0.5, rel=0.5) and not bias.any()
    value_head.make_fresh(policy, 1)
    np.testing.assert_array_equal(kernel, policy.value_head.kernel)
    value_head.make_fresh(policy, 2)
    assert (kernel != policy.value_head.kernel.numpy()).all()
