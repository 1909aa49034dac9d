"""However the rows are split, every algorithm takes the same step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import table
from tests.support.variants import each_variant
from tf_tokenrl import algorithms
from tf_tokenrl.flow import Batch, Context, Rollout
from tf_tokenrl.training.updates.updater import Updater

LENGTHS = np.array([8, 7, 5, 8, 1, 3, 2, 1])  # the halves differ
TAUGHT = np.array([1, 0, 6, 2, 8, 8, 3, 1])
MEMORY = {"return_sum": np.float32(1.5), "return_weight": np.float32(2)}


def make_batch(algorithm, policy) -> Batch:
    """Eight answers; the fourth has a given token inside."""
    rng = np.random.default_rng(3)
    places = np.arange(8)[None]
    mask = places < LENGTHS[:, None]
    mask[3, 2] = False
    prompts = rng.integers(4, 12, (8, 5)).astype(np.int32)
    actions = rng.integers(4, 12, (8, 8)).astype(np.int32)
    nothing = np.full((8, 8), np.nan, np.float32)
    rollout = Rollout(
        prompts, np.ones((8, 5), bool), actions, mask, nothing, nothing
    )
    old = policy.score(rollout)
    noise = rng.normal(0, 0.1, (8, 8))
    rollout = rollout._replace(
        log_probs=np.where(mask, old.log_probs + noise, np.nan),
        values=np.where(mask, old.values + noise, np.nan),
    )
    rewards = np.where(mask, rng.normal(size=(8, 8)), np.nan)
    rollout, rewards = tf.nest.map_structure(
        lambda x: None if x is None else _narrow(x), (rollout, rewards)
    )
    context = Context(rollout.mask[::-1], rewards[::-1], MEMORY)
    targets = algorithm.targets(rollout, rewards, context)
    teacher = None
    if algorithm.imitates:
        teacher = rollout._replace(mask=places < TAUGHT[:, None])
    settings = {k: np.float32(v) for k, v in algorithm.settings(3).items()}
    return Batch(rollout, rewards, targets, teacher, settings)


def _narrow(x):
    return x.astype(np.float32) if x.dtype == np.float64 else x


def step_taken(algorithm, accumulation):
    """How far each weight moves, and the metrics, without a graph."""
    policy = table.policy()
    batch = make_batch(algorithm, policy)
    sgd = keras.optimizers.SGD(1.0)
    sgd.build(policy.trainable_variables)
    before = policy.get_weights()
    updater = Updater(policy, algorithm, sgd, 0.0, accumulation)
    metrics = updater._update(batch)
    after = policy.get_weights()
    moved = [a - b for a, b in zip(after, before, strict=True)]
    return moved, {k: float(v) for k, v in metrics.items()}


def by_hand(algorithm):
    """Minus the gradient of the whole, as the algorithm weighs its tokens."""
    policy = table.policy()
    batch = make_batch(algorithm, policy)
    batch = batch._replace(targets=algorithm.minibatch_targets(batch))
    chosen, taught = algorithm.loss_weights(batch, policy.max_new_tokens)
    with tf.GradientTape() as tape:
        loss, _ = algorithm.loss(batch, policy.score(batch.rollout))
        total = tf.reduce_sum(loss * chosen)
        if taught is not None:
            log_probs = policy.score(batch.teacher).log_probs
            total -= tf.reduce_sum(log_probs * taught)
    weights = [v.value for v in policy.trainable_variables]
    found = tape.gradient(total, weights, unconnected_gradients="zero")
    return [-tf.convert_to_tensor(g).numpy() for g in found]


@each_variant
def test_parts_add_up_to_the_whole(algorithm):
    wanted = by_hand(algorithm)
    assert max(np.abs(w).max() for w in wanted) > 1e-3
    metrics = []
    for accumulation in (1, 2, 4):
        moved, found = step_taken(algorithm, accumulation)
        metrics.append(found)
        for ours, exact in zip(moved, wanted, strict=True):
            np.testing.assert_allclose(ours, exact, atol=1e-6)
    for found in metrics[1:]:
        assert found == pytest.approx(metrics[0], abs=1e-5)


def test_imitation_is_measured_before_its_weight():
    algorithm = algorithms.get("mixed", imitation_weight=0.3)
    policy = table.policy()
    batch = make_batch(algorithm, policy)
    _, metrics = step_taken(algorithm, 1)
    mask = batch.teacher.mask
    nll = -policy.score(batch.teacher).log_probs.numpy()[mask].mean()
    assert metrics["imitation_loss"] == pytest.approx(nll, rel=1e-5)
    mixed = 0.7 * metrics["policy_loss"] + 0.3 * nll
    assert metrics["loss"] == pytest.approx(mixed, rel=1e-5)
