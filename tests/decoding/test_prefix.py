"""Answers whose first tokens are given: where they stand, how they score."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.decoding.prefix import Prefix, divide, join_prefix, mark
from tf_tokenrl.decoding.sampling import row_seeds

PROMPTS = ["open a file", "return", "the name of a list", "value"]
COUNTS = np.array([3, 0, 8, 2], np.int32)
ENDED = np.array([False, False, True, True])


@pytest.fixture(
    scope="module",
    params=[
        "gpt2",
        "gru",
        pytest.param("bart", marks=pytest.mark.slow),
        pytest.param("t5", marks=pytest.mark.slow),
    ],
)
def run(request):
    """The policy and what it wrote behind the given tokens."""
    policy = tiny.shared_policy(request.param)
    ids = np.random.default_rng(0).integers(4, 20, (4, 8)).astype(np.int32)
    prefix = Prefix(ids, COUNTS, ENDED)
    asked = policy.encode(PROMPTS)
    act = tf.function(policy.act_after)
    rollout = act(*asked, prefix, row_seeds(5, 0, 4))
    return (
        policy,
        prefix,
        tf.nest.map_structure(
            lambda x: None if x is None else x.numpy(), rollout
        ),
    )


def test_prompt_and_given_tokens_are_joined_without_a_gap():
    ids = np.array([[5, 6, 0], [7, 0, 0]], np.int32)
    prefix = Prefix(
        np.array([[8, 9], [10, 11]], np.int32), np.array([2, 1]), None
    )
    joined, mask = join_prefix(ids, ids > 0, prefix)
    np.testing.assert_array_equal(joined, [[5, 6, 8, 9, 0], [7, 10, 0, 0, 0]])
    np.testing.assert_array_equal(mask, joined.numpy() > 0)


def test_marked_tokens_are_found_behind_prompts():
    prompts = np.array([[5, 6, 0], [7, 0, 0], [8, 9, 4]], np.int32)
    prefix = Prefix(
        np.array([[0, 9], [10, 0], [0, 0]], np.int32), np.array([2, 1, 0]), None
    )
    joined, mask = join_prefix(prompts, prompts > 0, mark(prefix))
    lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=-1)
    ids, lengths, found, counts = divide(joined, lengths)
    np.testing.assert_array_equal(ids[:, :3], prompts)
    assert not ids[:, 3:].numpy().any()
    np.testing.assert_array_equal(lengths, [2, 1, 3])
    np.testing.assert_array_equal(found, prefix.ids)
    np.testing.assert_array_equal(counts, prefix.counts)


def test_given_tokens_stand_first_and_are_not_chosen(run):
    policy, prefix, rollout = run
    assert rollout.mask.shape == (4, policy.max_new_tokens)
    for row, count in enumerate(COUNTS):
        np.testing.assert_array_equal(
            rollout.actions[row, :count], prefix.ids[row, :count]
        )
        assert not rollout.mask[row, :count].any()
        assert rollout.mask[row].any() == (not ENDED[row])
        assert not rollout.log_probs[row][~rollout.mask[row]].any()
        length = rollout.mask[row].sum()
        assert rollout.mask[row, count : count + length].all()


def test_what_was_sampled_is_what_is_scored(run):
    """Positions mean the same to the loop and to the scoring pass."""
    policy, _, rollout = run
    scores = policy.score(rollout)
    for ours, theirs in (
        (rollout.log_probs, scores.log_probs),
        (rollout.values, scores.values),
    ):
        np.testing.assert_allclose(
            ours[rollout.mask], theirs.numpy()[rollout.mask], atol=1e-5
        )


def test_a_row_without_given_tokens_is_sampled_as_ever(run):
    policy, _, rollout = run
    seeds = row_seeds(5, 0, 4)[1:2]
    alone = tiny.sample(policy, PROMPTS[1:2], seeds=seeds)
    width = alone.mask.shape[1]
    np.testing.assert_array_equal(rollout.actions[1, :width], alone.actions[0])
    np.testing.assert_allclose(
        rollout.log_probs[1, :width], alone.log_probs[0], atol=1e-5
    )


def test_no_answer_is_longer_than_the_limit(run):
    policy, _, rollout = run
    last = np.where(rollout.mask.any(-1), rollout.mask.sum(-1) + COUNTS, 0)
    assert (last <= policy.max_new_tokens).all()
