"""One gradient step equals one written out by hand on the whole batch."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import table, tiny, toy
from tf_tokenrl import algorithms
from tf_tokenrl.flow import Batch, Rollout, Targets
from tf_tokenrl.training.updates.updater import Updater

LENGTHS = [8, 7, 5, 8, 1, 3, 2, 1]  # of the answers: the halves differ
ROWS = np.arange(len(LENGTHS))
ALGORITHM = algorithms.get("actor_critic", entropy_weight=0.01)


def make_batch(junk: float = 0.0) -> Batch:
    rng = np.random.default_rng(3)
    mask = np.arange(8)[None] < np.array(LENGTHS)[:, None]

    def floats(low, high):
        values = rng.uniform(low, high, mask.shape)
        return np.where(mask, values, junk).astype(np.float32)

    prompt_mask = np.arange(5)[None] < np.array([[2, 5] * 4]).T
    rollout = Rollout(
        rng.integers(4, 30, prompt_mask.shape).astype(np.int32),
        prompt_mask,
        np.where(mask, rng.integers(4, 30, mask.shape), 0).astype(np.int32),
        mask,
        log_probs=floats(-4, 0),
        values=floats(-1, 1),
    )
    targets = Targets(floats(-3, 3), floats(-1, 1))
    return Batch(rollout, floats(-1, 1), targets)


def gradient_by_hand(policy, batch, rows=ROWS, count=None):
    """d/dw of the loss of all chosen tokens of `rows` over their number."""
    part = tf.nest.map_structure(
        lambda x: None if x is None else x[rows], batch
    )
    mask = part.rollout.mask
    with tf.GradientTape() as tape:
        loss, _ = ALGORITHM.loss(part, policy.score(part.rollout))
        loss = tf.reduce_sum(tf.boolean_mask(loss, mask))
        loss /= mask.sum() if count is None else count
    weights = [v.value for v in policy.trainable_variables]
    found = tape.gradient(loss, weights, unconnected_gradients="zero")
    return [np.array(tf.convert_to_tensor(g)) for g in found]


def step_taken(optimizer, batch, rows=ROWS, clip=0.0, accumulation=1):
    """How far each weight moved in one update, and the update's metrics."""
    policy = tiny.policy("gpt2")
    optimizer.build(policy.trainable_variables)
    before = [v.numpy() for v in policy.trainable_variables]
    updater = Updater(policy, ALGORITHM, optimizer, clip, accumulation)
    metrics = updater(batch, rows)
    after = [v.numpy() for v in policy.trainable_variables]
    return [a - b for a, b in zip(after, before, strict=True)], metrics


def norm(gradients) -> float:
    return float(np.sqrt(sum((g**2).sum() for g in gradients)))


def largest_gap(first, second) -> float:
    pairs = zip(first, second, strict=True)
    return max(np.abs(a - b).max() for a, b in pairs)


@pytest.fixture(scope="module")
def batch():
    return make_batch()


@pytest.fixture(scope="module")
def wanted(batch):
    return gradient_by_hand(tiny.policy("gpt2"), batch)


def minus(gradients):
    return [-g for g in gradients]


@pytest.mark.parametrize(
    ("accumulation", "junk"), [(1, 0.0), (2, np.nan), (4, 0.0)]
)
def test_parts_add_up_to_the_gradient_of_the_whole(accumulation, junk, wanted):
    """Whatever stands in masked slots."""
    sgd, batch = keras.optimizers.SGD(1.0), make_batch(junk)
    moved, metrics = step_taken(sgd, batch, accumulation=accumulation)
    assert all(np.isfinite(list(metrics.values())))
    assert largest_gap(moved, minus(wanted)) < 1e-6
    assert metrics["gradient_norm"] == pytest.approx(norm(wanted), rel=1e-5)


def test_a_mean_of_the_parts_means_would_be_another_gradient(batch, wanted):
    policy = tiny.policy("gpt2")
    halves = [gradient_by_hand(policy, batch, r) for r in (ROWS[:4], ROWS[4:])]
    mean = [(a + b) / 2 for a, b in zip(*halves, strict=True)]
    assert largest_gap(mean, wanted) > 1e-3


def test_the_gradient_is_clipped_after_the_sum(batch, wanted):
    clip = norm(wanted) / 3
    sgd = keras.optimizers.SGD(1.0)
    moved, metrics = step_taken(sgd, batch, clip=clip, accumulation=2)
    assert metrics["gradient_norm"] == pytest.approx(norm(wanted), rel=1e-5)
    assert norm(moved) == pytest.approx(clip, rel=1e-5)
    assert largest_gap(moved, [-g / 3 for g in wanted]) < 1e-6
    policy, count = tiny.policy("gpt2"), batch.rollout.mask.sum()
    before = [
        gradient_by_hand(policy, batch, rows, count)
        for rows in (ROWS[:4], ROWS[4:])
    ]
    before = [[g * min(1, clip / norm(p)) for g in p] for p in before]
    summed = [a + b for a, b in zip(*before, strict=True)]
    assert largest_gap(moved, minus(summed)) > 1e-3


def test_only_the_given_rows_count(batch):
    rows = np.array([5, 1, 2])
    moved, metrics = step_taken(keras.optimizers.SGD(1.0), batch, rows)
    wanted = gradient_by_hand(tiny.policy("gpt2"), batch, rows)
    assert largest_gap(moved, minus(wanted)) < 1e-6
    scores = tiny.policy("gpt2").score(batch.rollout)
    mask = batch.rollout.mask[rows]
    entropy = scores.entropy.numpy()[rows][mask].mean()
    assert metrics["entropy"] == pytest.approx(entropy, rel=1e-5)


def test_one_step_of_adam_is_the_closed_form(batch, wanted):
    """Keras adds epsilon to sqrt(v), not to sqrt(v / (1 - beta_2)).

    So with epsilon = 1e-5 the step is that of PyTorch's Adam with
    epsilon = 1e-5 / sqrt(1 - beta_2) = 3.2e-4 at first.
    """
    rate, epsilon = 1e-3, 1e-5
    adam = keras.optimizers.Adam(rate, epsilon=epsilon)
    moved, _ = step_taken(adam, batch)
    root = np.sqrt(1 - 0.999)
    closed = [-rate * root * g / (root * np.abs(g) + epsilon) for g in wanted]
    assert largest_gap(moved, closed) < 5e-7  # the weights' own rounding
    other = [-rate * g / (np.abs(g) + epsilon) for g in wanted]
    assert largest_gap(moved, other) > 1e-5


def updater(policy, algorithm):
    return Updater(policy, algorithms.parse(algorithm), None, 0.0, 1)


def test_a_constant_is_the_limit_of_the_policy_not_the_longest_answer():
    policy = SimpleNamespace(max_new_tokens=9)
    mask = np.array([[True, True, True], [True, False, False]])
    rollout = Rollout(None, None, None, mask, None, None)
    for algorithm in (
        "grpo(normalization='constant')",
        "reinforce(normalization='constant')",
    ):
        batch = Batch(rollout, np.zeros(mask.shape, np.float32), None)
        weights = updater(policy, algorithm)._weights(batch)
        np.testing.assert_allclose(
            weights["chosen"], mask / (9.0 * 2), rtol=1e-6
        )


def test_a_teacher_is_scored_without_exploration():
    policy = table.policy(seed=3)
    examples = toy.EXAMPLES[:4]
    teacher = policy.encode_pairs(
        [e.prompt for e in examples], [e.reference for e in examples]
    )
    nothing = np.zeros(teacher.mask.shape, np.float32)
    settings = {
        "temperature": np.float32(3),
        "imitation_weight": np.float32(1),
    }
    batch = Batch(
        teacher, nothing, Targets(nothing, nothing), teacher, settings
    )
    made = updater(policy, "mixed(imitation_weight=linear(1, 1, steps=2))")
    sums = made._sums(batch, made._weights(batch), tf.range(4))
    log_probs = policy.score(teacher).log_probs.numpy()[teacher.mask]
    assert float(sums["imitation_loss"]) == pytest.approx(
        -log_probs.mean(), rel=1e-4
    )
    hot = policy.score(teacher, temperature=3.0).log_probs.numpy()
    assert abs(hot[teacher.mask].mean() - log_probs.mean()) > 0.01
