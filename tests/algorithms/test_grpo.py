"""GRPO by hand, and beside the algorithms it is made of."""

import numpy as np
import pytest

from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError

PAIRS = {"samples_per_prompt": 2}


def grpo(**options):
    return algorithms.get("grpo", **{**PAIRS, **options})


def test_golden_numbers(make_batch):
    """Answers that earned 1 and 3, and 2 and 2: their deviation is sqrt(2)."""
    rollout, _, _ = make_batch()
    earned = np.array([1, 3, 2, 2], np.float32)
    rewards = np.where(rollout.mask, 0, np.nan).astype(np.float32)
    rewards[:, 0] = earned
    for scale, size in ((False, 1.0), (True, 1 / (np.sqrt(2) + 1e-4))):
        targets = grpo(scale=scale).targets(rollout, rewards)
        signs = np.array([-1, 1, 0, 0])[:, None]
        expected = np.where(rollout.mask, size * signs, 0)
        np.testing.assert_allclose(targets.advantages, expected, rtol=1e-6)
        returns = np.where(rollout.mask, earned[:, None], 0)
        np.testing.assert_array_equal(targets.returns, returns)


def test_unscaled_it_is_leave_one_out_times_k_minus_1_over_k(make_batch):
    rollout, rewards, _ = make_batch()
    one_out = algorithms.get("reinforce", baseline="leave_one_out", **PAIRS)
    ours = grpo(scale=False, credit="token").targets(rollout, rewards)
    theirs = one_out.targets(rollout, rewards)
    np.testing.assert_allclose(
        ours.advantages, theirs.advantages / 2, atol=1e-6
    )


def test_the_first_loss_is_that_of_ppo_without_critic(make_batch, learn):
    rollout, rewards, scores = make_batch()
    _, ours, metrics = learn(grpo(clip=0.1), rollout, rewards, scores)
    targets = grpo().targets(rollout, rewards)
    ppo = algorithms.get("ppo", clip=0.1, value_weight=0, whiten=False)

    class Given(type(ppo)):
        def targets(self, *given):
            return targets

    _, theirs, others = learn(Given(clip=0.1), rollout, rewards, scores)
    np.testing.assert_allclose(ours, others["policy_loss"], atol=1e-6)
    for name in ("approximate_kl", "ratio_clipped"):
        np.testing.assert_allclose(metrics[name], others[name], atol=1e-6)


def test_each_normalization_is_the_mean_it_names(make_batch, complete):
    rollout, rewards, scores = make_batch()
    lengths = rollout.mask.sum(1)
    for name, mean in (
        ("token", lambda x: x.sum() / lengths.sum()),
        ("sequence", lambda x: (x.sum(1) / lengths).mean()),
        ("constant", lambda x: (x.sum(1) / 20).mean()),
    ):
        algorithm = grpo(normalization=name)
        batch = complete(algorithm, rollout, rewards)
        loss, _ = algorithm.loss(batch, scores)
        weights, taught = algorithm.loss_weights(batch, longest=20)
        assert taught is None
        np.testing.assert_allclose(
            (loss * weights).numpy().sum(), mean(loss.numpy()), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples_per_prompt": 1}, "samples_per_prompt to 2"),
        ({"normalization": "row"}, 'normalization "row".*sequence'),
        ({"credit": "word"}, "credit"),
        ({"clip_high": -1}, "clip_high"),
    ],
)
def test_impossible_options_are_named(options, words):
    with pytest.raises(TokenRLError, match=words):
        grpo(**options)


@pytest.mark.parametrize("high", [None, 0.5])
def test_a_good_answer_may_rise_to_its_own_bound(make_batch, learn, high):
    """All ratios are 1.25; `clip` is 0.1 both ways but for `clip_high`."""
    rollout, rewards, scores = make_batch()
    scores = scores._replace(log_probs=rollout.log_probs + np.log(1.25))
    algorithm = grpo(clip=0.1, clip_high=high, scale=False)
    targets, loss, _ = learn(algorithm, rollout, rewards, scores)
    advantages = targets.advantages.numpy()
    good = 1.1 if high is None else 1.25
    ratios = np.where(advantages > 0, good, 1.25)
    expected = np.where(rollout.mask, -advantages * ratios, 0)
    np.testing.assert_allclose(loss, expected, atol=1e-5)
