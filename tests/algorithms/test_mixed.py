"""Imitation beside another algorithm: which share each part has."""

import numpy as np
import pytest

from tf_tokenrl import algorithms
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Context, Targets


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_parts_are_two_means(make_batch, complete, share):
    algorithm = algorithms.get("mixed", imitation_weight=share)
    rollout, rewards, _ = make_batch()
    mask = rollout.mask.copy()
    mask[0] = False  # fewer tokens to imitate than were chosen
    batch = complete(algorithm, rollout, rewards)
    batch = batch._replace(teacher=rollout._replace(mask=mask))
    chosen, taught = algorithm.loss_weights(batch, longest=5)
    for weights, tokens, part in (
        (chosen, rollout.mask, 1 - share),
        (taught, mask, share),
    ):
        expected = np.where(tokens, part / tokens.sum(), 0)
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_schedule_says_the_share_at_each_step(make_batch, complete):
    algorithm = algorithms.parse(
        "mixed(imitation_weight=linear(1.0, 0.0, steps=4))"
    )
    rollout, rewards, _ = make_batch()
    batch = complete(algorithm, rollout, rewards)
    for step, share in ((0, 1.0), (1, 0.75), (4, 0.0), (9, 0.0)):
        settings = algorithm.settings(step)
        assert settings == {"imitation_weight": share}
        _, taught = algorithm.loss_weights(
            batch._replace(settings=settings), longest=5
        )
        np.testing.assert_allclose(taught.numpy().sum(), share, rtol=1e-6)


def test_all_else_is_the_other_algorithm(make_batch, learn):
    other = "ppo(epochs=3, minibatches=2, samples_per_prompt=2, target_kl=1)"
    ours = algorithms.get("mixed", algorithm=other)
    theirs = algorithms.parse(other)
    for name in ("epochs", "minibatches", "samples_per_prompt"):
        assert getattr(ours, name) == getattr(theirs, name)
    for near, far in zip(
        learn(ours, *make_batch())[:2],
        learn(theirs, *make_batch())[:2],
        strict=True,
    ):
        np.testing.assert_array_equal(near, far)
    assert ours.enough({"approximate_kl": 2.0})


def test_what_the_other_needs_it_gets(make_batch):
    greedy = algorithms.get(
        "mixed", algorithm="reinforce(baseline='self_critical')"
    )
    assert greedy.needs_greedy
    moving = algorithms.get(
        "mixed", algorithm="reinforce(baseline='moving_mean')"
    )
    assert moving.first_memory()
    rollout, rewards, _ = make_batch()
    context = Context(memory={"return_sum": 3.0, "return_weight": 1.0})
    found: Targets = moving.targets(rollout, rewards, context)
    gap = (found.returns - found.advantages).numpy()[rollout.mask]
    np.testing.assert_allclose(gap, 3, rtol=1e-6)


@pytest.mark.parametrize("name", ["mixed", "mixer"])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ("mixed", "learns from reference answers itself"),
        ("reinforcement", "Did you mean"),
        ("ppo(clip=7)", "clip must be"),
        ("ppo(clip", "Cannot read"),
    ],
)
def test_impossible_others_are_named(name, other, words):
    with pytest.raises(TokenRLError, match=words):
        algorithms.get(name, algorithm=other)


@pytest.mark.parametrize("share", [-0.1, 1.1, "half"])
def test_impossible_shares_are_named(share):
    with pytest.raises(TokenRLError, match="imitation_weight"):
        algorithms.get("mixed", imitation_weight=share)


@pytest.mark.parametrize("name", ["mixed", "mixer"])
def test_the_minibatches_of_the_other_are_whitened(name, make_batch, complete):
    algorithm = algorithms.get(name, algorithm="ppo(whiten='minibatch')")
    rollout, rewards, _ = make_batch()
    chosen = complete(algorithm, rollout, rewards).targets.advantages.numpy()
    chosen = chosen[rollout.mask]
    assert chosen.mean() == pytest.approx(0, abs=1e-6)
    assert chosen.std() == pytest.approx(1, abs=1e-3)


def test_kl_counts_in_full_whatever_the_share(make_batch, complete):
    algorithm = algorithms.get("mixed", imitation_weight=0.75)
    rollout, rewards, _ = make_batch()
    batch = complete(algorithm, rollout, rewards)
    tokens = rollout.mask
    expected = np.where(tokens, 1 / tokens.sum(), 0)
    np.testing.assert_allclose(
        algorithm.kl_weights(batch, longest=5), expected, rtol=1e-6
    )
    assert algorithm.inner.kl_weights(batch, longest=5) is None
