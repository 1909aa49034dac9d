import numpy as np
import pytest

from tests.support import table, tiny
from tf_tokenrl.training.rollouts.sampler import Sampler

PROMPTS = ["the name", "open a given file", "return", "the name"] * 2


@pytest.fixture(scope="module")
def policy():
    return tiny.policy("gpt2", stop_ids=(3, 9, 17, 31))


@pytest.fixture(scope="module")
def collect(policy):
    collector = Sampler(policy, policy.frozen_copy(), seed=7)
    return lambda prompts, step: collector(*policy.encode(prompts), step)


def test_a_step_can_be_taken_again(collect):
    first, again = collect(PROMPTS, 3), collect(PROMPTS, 3)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_and_steps_have_noise_of_their_own(collect):
    prompts = ["the name"] * 8
    answers = [
        tuple(row[kept])
        for step in (0, 1)
        for rollout in [collect(prompts, step)]
        for row, kept in zip(rollout.actions, rollout.mask, strict=True)
    ]
    assert len(set(answers)) > 12


def test_a_row_knows_nothing_of_its_neighbours(collect):
    """What stands in other rows, and how wide, changes no answer."""
    others = ["list the given value or name"] * 8
    pairs = enumerate(zip(PROMPTS, others, strict=True))
    mixed = [p if i % 2 else o for i, (p, o) in pairs]
    alone, beside = collect(PROMPTS, 5), collect(mixed, 5)
    for row in (1, 3, 5, 7):
        kept = alone.mask[row]
        answer = alone.actions[row][kept]
        np.testing.assert_array_equal(
            beside.actions[row][beside.mask[row]], answer
        )
        np.testing.assert_allclose(
            beside.log_probs[row][beside.mask[row]],
            alone.log_probs[row][kept],
            atol=1e-5,
        )


def test_answers_are_cut_to_the_longest_and_hold_what_was_chosen(collect):
    rollout = collect(PROMPTS, 0)
    lengths = rollout.mask.sum(-1)
    assert rollout.actions.shape == (8, lengths.max())
    for name in ("log_probs", "values", "reference_log_probs"):
        values = getattr(rollout, name)
        assert values.shape == rollout.mask.shape
        assert values.dtype == np.float32
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(
            rollout.mask[row], np.arange(lengths.max()) < length
        )
    assert (rollout.log_probs[rollout.mask] <= 0).all()


def test_prompts_beyond_the_slots_wait_and_get_the_same_answers():
    policy = table.policy()

    def answers(slots):
        policy.slots = slots
        try:
            collector = Sampler(policy, None, seed=7)
            return collector(*policy.encode(PROMPTS), 2)
        finally:
            del policy.slots

    few, all_at_once = answers(3), answers(None)
    np.testing.assert_array_equal(few.actions, all_at_once.actions)
    np.testing.assert_array_equal(few.mask, all_at_once.mask)
    np.testing.assert_allclose(few.log_probs, all_at_once.log_probs, atol=1e-5)
