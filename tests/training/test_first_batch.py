"""A first batch that contradicts itself is not trained on."""

import keras
import numpy as np
import pytest

from tests.support import tiny, toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training import first_batch
from tf_tokenrl.training.first_batch import NAMES

PROMPTS = ["the name", "open a given file or a list", "return", "a file"] * 3


def rollout_of(policy):
    rollout = tiny.sample(policy, PROMPTS)
    reference = policy.score(rollout).log_probs.numpy()
    return rollout._replace(reference_log_probs=reference)


@pytest.fixture(scope="module")
def made():
    """A policy whose answers end early and at the limit, and its rollout."""
    policy = tiny.policy("gru", stop_ids=(3, 9, 17, 31))
    rollout = rollout_of(policy)
    lengths = rollout.mask.sum(-1)
    assert lengths.min() < policy.max_new_tokens and len(set(lengths)) > 2
    return policy, rollout


def test_every_policy_agrees_with_itself(policy):
    first_batch.check(policy, rollout_of(policy), policy.score)


def refuse(policy, rollout, score, *names):
    with pytest.raises(TokenRLError) as caught:
        first_batch.check(policy, rollout, score, set(names) or NAMES)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_temperature_than_was_sampled_with(made):
    policy, rollout = made
    message = refuse(
        policy, rollout, lambda r: policy.score(r, temperature=0.7)
    )
    assert '"ratio"' in message and "temperature" in message


def test_a_shift_by_one(made):
    policy, rollout = made

    def shifted(given):
        scores = policy.score(given)
        moved = np.roll(scores.log_probs.numpy(), 1, axis=1)
        return scores._replace(log_probs=moved)

    assert '"ratio"' in refuse(policy, rollout, shifted)


def test_a_reference_that_is_another_policy(made):
    policy, rollout = made
    other = rollout._replace(
        reference_log_probs=rollout.reference_log_probs - 0.01
    )
    message = refuse(policy, other, policy.score)
    assert '"kl"' in message and "frozen_copy" in message
    first_batch.check(policy, other, policy.score, NAMES - {"kl"})
    none = rollout._replace(reference_log_probs=None)
    first_batch.check(policy, none, policy.score)


def test_a_stop_token_outside_the_mask(made):
    policy, rollout = made
    mask = rollout.mask.copy()
    for row, chosen in enumerate(rollout.mask):
        if chosen.sum() > 1:
            mask[row, chosen.sum() - 1] = False
    cut = rollout._replace(mask=mask)
    message = refuse(policy, cut, policy.score)
    assert '"stop"' in message and "include the stop token" in message


def test_tokens_after_the_stop_token(made):
    policy, rollout = made
    everything = rollout._replace(mask=np.ones_like(rollout.mask))
    message = refuse(policy, everything, policy.score)
    assert '"stop"' in message and "goes on after" in message


def test_padding_that_is_read_as_prompt(made):
    policy, rollout = made

    def careless(given):
        mask = np.ones_like(given.prompt_mask)
        return policy.score(given._replace(prompt_mask=mask))

    message = refuse(policy, rollout, careless, "padding")
    assert '"padding"' in message and "padding of its batch" in message


@pytest.mark.parametrize("name", ["log_probs", "values"])
def test_numbers_that_are_not_finite(made, name):
    policy, rollout = made
    spoiled = getattr(rollout, name).copy()
    spoiled[~rollout.mask] = np.nan
    first_batch.check(policy, rollout._replace(**{name: spoiled}), policy.score)
    spoiled[0, 0] = np.nan
    message = refuse(policy, rollout._replace(**{name: spoiled}), policy.score)
    assert '"finite"' in message and name in message


def test_a_score_that_is_nan_is_not_a_ratio_of_1(made):
    policy, rollout = made

    def broken(given):
        scores = policy.score(given)
        return scores._replace(log_probs=scores.log_probs * np.nan)

    assert '"ratio"' in refuse(policy, rollout, broken)


def test_log_probs_above_0(made):
    policy, rollout = made
    above = rollout._replace(log_probs=-rollout.log_probs)
    assert '"finite"' in refuse(policy, above, policy.score)


def test_nothing_to_train(made):
    policy, rollout = made
    frozen = policy.frozen_copy()
    assert '"trainable"' in refuse(frozen, rollout, frozen.score)


def test_sixteen_bits_get_a_wider_tolerance():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        policy = tiny.policy("gru")
    finally:
        keras.config.set_dtype_policy(before)
    rollout = rollout_of(policy)
    gap = np.abs(rollout.log_probs - rollout.reference_log_probs)
    assert gap[rollout.mask].max() > 1e-3
    first_batch.check(policy, rollout, policy.score)


def test_a_trainer_refuses_and_learns_nothing():
    """Then what is meant to be is allowed, and looked at once."""
    reference = tiny.policy("gru", seed=1).frozen_copy()
    trainer = toy.trainer("gru", "reinforce", reference=reference)
    before = trainer.policy.get_weights()
    with pytest.raises(TokenRLError, match='Self-check "kl"'):
        trainer.fit(toy.EXAMPLES, 1, 8)
    assert trainer.finished_steps == 0
    after = trainer.policy.get_weights()
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    trainer = toy.trainer(
        policy=trainer.policy,
        algorithm="reinforce",
        reference=reference,
        self_check=NAMES - {"kl"},
    )
    seen = []
    score = trainer.policy.score
    trainer.policy.score = lambda *given, **settings: (
        seen.append(1) or score(*given, **settings)
    )
    trainer.fit(toy.EXAMPLES, 1, 8)
    traced = len(seen)
    trainer.fit(toy.EXAMPLES, 3, 8)
    assert len(seen) == traced
