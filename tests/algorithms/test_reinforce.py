"""Baselines of REINFORCE by loops, and its special cases."""

import numpy as np
import pytest

from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Context


def leave_one_out(**options):
    return algorithms.get(
        "reinforce", baseline="leave_one_out", samples_per_prompt=2, **options
    )


def at_the_end(mask, scores):
    rewards = np.full(mask.shape, np.nan, np.float32)
    rewards[mask] = 0
    for row, score in enumerate(scores):
        rewards[row, np.flatnonzero(mask[row])[-1]] = score
    return rewards


def test_one_score_per_text_gives_the_published_leave_one_out(make_batch):
    rollout, _, _ = make_batch()
    scores = np.array([0.7, -1.9, 0.25, 3.0], np.float32)
    targets = leave_one_out().targets(rollout, at_the_end(rollout.mask, scores))
    for row, other in ((0, 1), (1, 0), (2, 3), (3, 2)):
        chosen = targets.advantages[row][rollout.mask[row]]
        np.testing.assert_allclose(
            chosen, np.full(len(chosen), scores[row] - scores[other])
        )


def test_mean_is_the_mean_of_the_other_rows(make_batch):
    rollout, _, _ = make_batch()
    scores = np.array([0.7, -1.9, 0.25, 3.0], np.float32)
    targets = algorithms.get("reinforce", baseline="mean").targets(
        rollout, at_the_end(rollout.mask, scores)
    )
    for row in range(4):
        others = np.delete(scores, row).mean()
        chosen = targets.advantages[row][rollout.mask[row]]
        np.testing.assert_allclose(
            chosen, np.full(len(chosen), scores[row] - others), rtol=1e-5
        )


def test_rewards_along_the_way_are_compared_at_the_same_position(make_batch):
    """Row 1 ended after two tokens and stands by its last return."""
    rollout, _, _ = make_batch()
    rewards = np.where(rollout.mask, 1.0, np.nan).astype(np.float32)
    targets = leave_one_out().targets(rollout, rewards)
    np.testing.assert_array_equal(targets.returns[0], [4, 3, 2, 1, 0])
    np.testing.assert_array_equal(targets.returns[1], [2, 1, 0, 0, 0])
    np.testing.assert_array_equal(targets.advantages[0], [2, 2, 1, 0, 0])
    np.testing.assert_array_equal(targets.advantages[1], [-2, -2, 0, 0, 0])


def test_the_moving_mean_is_that_of_past_steps(make_batch):
    """Mean returns 1, 4 and 2 with decay 0.5, by hand.

    b = (0.25 * 1 + 0.5 * 4 + 2) / (0.25 + 0.5 + 1)
    """
    algorithm = algorithms.get("reinforce", baseline="moving_mean", decay=0.5)
    rollout, _, _ = make_batch()
    memory = algorithm.first_memory()
    baselines = []
    for worth in (1.0, 4.0, 2.0, 7.0):
        rewards = at_the_end(rollout.mask, [worth] * 4)
        context = Context(memory=memory)
        targets = algorithm.targets(rollout, rewards, context)
        gap = (targets.returns - targets.advantages).numpy()[rollout.mask]
        np.testing.assert_allclose(gap, gap[0], rtol=1e-6)
        baselines.append(gap[0])
        memory = algorithm.remember(memory, Batch(rollout, rewards, targets))
    expected = [0, 1, 4.5 / 1.5, 4.25 / 1.75]
    np.testing.assert_allclose(baselines, expected, rtol=1e-6)


def test_self_critical_takes_off_what_the_greedy_answer_earned(make_batch):
    """One score per text: the published form, for all tokens alike."""
    rollout, _, _ = make_batch()
    scores = np.array([0.7, -1.9, 0.25, 3.0], np.float32)
    greedy = np.array([0.5, 1.0, 0.0, -2.0], np.float32)
    short = np.ones((4, 2), bool)
    context = Context(short, at_the_end(short, greedy))
    targets = algorithms.get("reinforce", baseline="self_critical").targets(
        rollout, at_the_end(rollout.mask, scores), context
    )
    expected = np.where(rollout.mask, (scores - greedy)[:, None], 0)
    np.testing.assert_allclose(targets.advantages, expected, rtol=1e-6)


def test_self_critical_compares_rewards_along_the_way_by_position(make_batch):
    rollout, _, _ = make_batch()
    rewards = np.where(rollout.mask, 1.0, np.nan).astype(np.float32)
    longer = np.arange(7)[None] < np.array([6, 1, 2, 7])[:, None]
    context = Context(longer, longer.astype(np.float32))
    targets = algorithms.get("reinforce", baseline="self_critical").targets(
        rollout, rewards, context
    )
    found = targets.advantages.numpy()
    np.testing.assert_array_equal(found[0], [4 - 6, 3 - 5, 2 - 4, 1 - 3, 0])
    np.testing.assert_array_equal(found[1], [2 - 1, 1 - 1, 0, 0, 0])
    np.testing.assert_array_equal(found[3], [-2, -2, -2, -2, -2])


def test_self_critical_without_greedy_answers_says_so(make_batch):
    rollout, rewards, _ = make_batch()
    with pytest.raises(TokenRLError, match="greedy answers"):
        algorithms.get("reinforce", baseline="self_critical").targets(
            rollout, rewards
        )


def test_the_whole_batch_as_one_group_is_the_mean(make_batch):
    rollout, rewards, _ = make_batch()
    group = algorithms.get(
        "reinforce", baseline="leave_one_out", samples_per_prompt=4
    )
    mean = algorithms.get("reinforce", baseline="mean")
    np.testing.assert_array_equal(
        group.targets(rollout, rewards).advantages,
        mean.targets(rollout, rewards).advantages,
    )


def test_a_single_row_has_no_mean_to_take_off(make_batch):
    rollout, rewards, _ = make_batch()
    rollout, rewards = rollout.rows(slice(1)), rewards[:1]
    targets = algorithms.get("reinforce").targets(rollout, rewards)
    np.testing.assert_array_equal(targets.advantages, targets.returns)


def test_fractions_and_signs_survive(make_batch):
    rollout, _, _ = make_batch()
    rewards = at_the_end(rollout.mask, [0.7, 1.9, -0.3, 0.5])
    targets = algorithms.get("reinforce", baseline="none").targets(
        rollout, rewards
    )
    np.testing.assert_allclose(targets.advantages[:, 0], [0.7, 1.9, -0.3, 0.5])


def test_only_a_critic_that_is_used_is_taught(make_batch, learn):
    for baseline, expected in (("mean", False), ("value", True)):
        algorithm = algorithms.get("reinforce", baseline=baseline)
        _, _, metrics = learn(algorithm, *make_batch())
        assert ("value_loss" in metrics) is expected


def test_loss_is_the_weighted_sum(make_batch, learn):
    algorithm = algorithms.get(
        "reinforce", baseline="value", value_weight=0.5, entropy_weight=0.01
    )
    _, loss, metrics = learn(algorithm, *make_batch())
    np.testing.assert_allclose(
        loss,
        metrics["policy_loss"]
        + 0.5 * metrics["value_loss"]
        - 0.01 * metrics["entropy"],
        rtol=1e-5,
        atol=1e-6,
    )


def test_one_sample_has_no_other_to_compare_with():
    with pytest.raises(TokenRLError, match="samples_per_prompt to 2"):
        algorithms.get("reinforce", baseline="leave_one_out")


def test_groups_must_fill_the_batch(make_batch):
    rollout, rewards, _ = make_batch()
    rollout, rewards = rollout.rows(slice(3)), rewards[:3]
    with pytest.raises(TokenRLError, match="3 rows"):
        leave_one_out().targets(rollout, rewards)


def test_unknown_baselines_are_named():
    with pytest.raises(TokenRLError, match='"average".*mean'):
        algorithms.get("reinforce", baseline="average")


def test_what_the_greedy_answer_earned_is_discounted_too(make_batch):
    rollout, rewards, _ = make_batch()
    mask = np.array([[True, True, True]] * 4)
    earned = np.array([[1.0, 2.0, 4.0]] * 4, np.float32)
    algorithm = algorithms.get(
        "reinforce", baseline="self_critical", discount=0.5
    )
    targets = algorithm.targets(rollout, rewards, Context(mask, earned))
    gap = (targets.returns - targets.advantages).numpy()
    expected = np.array([3.0, 4.0, 4.0, 4.0, 4.0])  # 1 + 2 / 2 + 4 / 4, ...
    where = rollout.mask
    np.testing.assert_allclose(
        gap[where], np.tile(expected, (4, 1))[where], atol=1e-6
    )


def test_a_step_of_dictated_answers_leaves_the_moving_mean(make_batch):
    rollout, rewards, _ = make_batch()
    algorithm = algorithms.get("reinforce", baseline="moving_mean")
    memory = {"return_sum": 3.0, "return_weight": 2.0}
    nothing = rollout._replace(mask=np.zeros_like(rollout.mask))
    targets = algorithm.targets(nothing, rewards, Context(memory=memory))
    assert (
        algorithm.remember(memory, Batch(nothing, rewards, targets)) == memory
    )
