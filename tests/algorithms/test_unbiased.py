"""The mean gradient of each algorithm is the exact policy gradient.

A policy over the tokens stop, a and b writes at most two of them, so all its
seven texts can be listed and the expected reward J differentiated exactly.
"""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl import algorithms
from tf_tokenrl.decoding.sampling import Sampling, draw
from tf_tokenrl.flow import Batch, Context, Rollout, Scores

TEXTS = [(0,), *((first, second) for first in (1, 2) for second in range(3))]
MASK = np.array([[True, len(text) == 2] for text in TEXTS])
ACTIONS = np.array([(*text, 0)[:2] for text in TEXTS])
STATES = np.stack([np.zeros(7, int), ACTIONS[:, 0]], axis=1)  # before, after
LOGITS = tf.constant([[0.2, -0.4, 1.0], [0.5, 0.1, -1.0], [-0.7, 0.3, 0.6]])

random = np.random.default_rng(11)
# A reward may depend on what was written so far, never on what follows.
REWARDS = np.stack(
    [random.normal(size=3)[ACTIONS[:, 0]], random.normal(size=7)], axis=1
)
REWARDS = np.where(MASK, REWARDS, np.nan).astype(np.float32)
VALUES = random.normal(size=3)[STATES].astype(np.float32)


def log_probs(logits):
    table = tf.nn.log_softmax(logits)
    return tf.gather_nd(table, np.stack([STATES, ACTIONS], axis=-1))


def probabilities(logits):
    return tf.exp(tf.reduce_sum(tf.where(MASK, log_probs(logits), 0), axis=1))


@pytest.fixture(scope="module")
def exact_gradient():
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        text_rewards = np.nansum(REWARDS, axis=1)
        objective = tf.reduce_sum(probabilities(LOGITS) * text_rewards)
    return tape.gradient(objective, LOGITS).numpy()


def context(rows):
    """A greedy answer, the same for all, and a mean of past steps."""
    greedy = np.full(len(rows), 4)
    memory = {"return_sum": 3.0, "return_weight": 2.0}
    return Context(MASK[greedy], REWARDS[greedy], memory)


def mean_gradient(algorithm, rows, weights):
    """Minus the gradient of the loss of a batch, each row weighted."""
    mask = MASK[rows]
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        new = tf.gather(log_probs(LOGITS), rows)
        zeros = tf.zeros_like(new)
        rollout = Rollout(
            prompt_ids=np.zeros((len(rows), 1), np.int32),
            prompt_mask=np.ones((len(rows), 1), bool),
            actions=ACTIONS[rows],
            mask=mask,
            log_probs=tf.stop_gradient(new),
            values=VALUES[rows],
        )
        targets = algorithm.targets(rollout, REWARDS[rows], context(rows))
        per_token, _ = algorithm.loss(
            Batch(rollout, REWARDS[rows], targets), Scores(new, zeros, zeros)
        )
        loss = tf.reduce_sum(per_token * weights[:, None])
    return -tape.gradient(loss, LOGITS).numpy()


def test_the_seven_texts_are_all_there_is():
    np.testing.assert_allclose(
        tf.reduce_sum(probabilities(LOGITS)), 1, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("reinforce", {"baseline": "none"}),
        ("reinforce", {"baseline": "value", "value_weight": 0}),
        ("reinforce", {"baseline": "moving_mean"}),
        ("reinforce", {"baseline": "self_critical"}),
        ("actor_critic", {"trace_decay": 1, "value_weight": 0}),
        ("actor_critic", {"steps": 2, "value_weight": 0}),
        ("ppo", {"trace_decay": 1, "value_weight": 0}),
    ],
)
def test_over_single_texts(name, options, exact_gradient):
    if name != "reinforce":
        options = {**options, "whiten": False}
    algorithm = algorithms.get(name, **options)
    gradient = mean_gradient(algorithm, np.arange(7), probabilities(LOGITS))
    np.testing.assert_allclose(gradient, exact_gradient, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("reinforce", {"baseline": "leave_one_out"}, 1),
        ("grpo", {"scale": False, "credit": "token"}, 1 / 2),
        ("grpo", {"scale": False, "credit": "answer"}, 1 / 2),
    ],
)
def test_over_pairs_within_a_group(name, options, share, exact_gradient):
    """The mean of GRPO includes the answer itself: (k - 1) / k is left."""
    algorithm = algorithms.get(name, samples_per_prompt=2, **options)
    pairs = np.stack(np.meshgrid(np.arange(7), np.arange(7)), -1)
    rows = pairs.reshape(-1)
    p = probabilities(LOGITS).numpy()
    weights = np.repeat(p[pairs].prod(axis=-1).reshape(-1), 2)
    gradient = mean_gradient(algorithm, rows, weights.astype(np.float32))
    expected = share * exact_gradient
    np.testing.assert_allclose(gradient / 2, expected, atol=1e-6)


def test_over_pairs_with_the_mean_of_the_batch(exact_gradient):
    algorithm = algorithms.get("reinforce", baseline="mean")
    p = probabilities(LOGITS).numpy()
    gradient = sum(
        mean_gradient(
            algorithm, np.array([i, j]), np.full(2, p[i] * p[j], np.float32)
        )
        for i in range(7)
        for j in range(7)
    )
    np.testing.assert_allclose(gradient / 2, exact_gradient, atol=1e-6)


EXACT = [
    ("reinforce", {"baseline": "none"}),
    ("actor_critic", {"trace_decay": 1, "value_weight": 0, "whiten": False}),
    ("ppo", {"trace_decay": 1, "value_weight": 0, "whiten": False}),
    ("mixed", {"algorithm": "reinforce(baseline='none', {})"}),
]


def applied_gradient(algorithm):
    """The mean over all minibatches of two texts, as the updater weighs them.

    The limit on new tokens is 2.
    """
    p = probabilities(LOGITS).numpy()
    total = np.zeros_like(LOGITS)
    for i, j in itertools.product(range(7), repeat=2):
        rows = np.array([i, j])
        rollout = Rollout(None, None, ACTIONS[rows], MASK[rows], None, None)
        batch = Batch(rollout, REWARDS[rows], None, teacher=rollout)
        batch = batch._replace(settings={"imitation_weight": 0.0})
        weights, _ = algorithm.loss_weights(batch, 2)
        part = mean_gradient(algorithm, rows, weights.numpy().max(-1))
        total += p[i] * p[j] * part
    return total


@pytest.mark.parametrize(("name", "options"), EXACT)
@pytest.mark.parametrize("normalization", ["token", "constant"])
def test_the_division_that_is_applied(
    name, options, normalization, exact_gradient
):
    """By tokens it bends the gradient, by a constant it only scales it."""
    chosen = {"normalization": normalization}
    if "algorithm" in options:
        inner = f"normalization='{normalization}'"
        chosen = {"algorithm": options["algorithm"].format(inner)}
    algorithm = algorithms.get(name, **(options | chosen))
    found = applied_gradient(algorithm)
    if normalization == "constant":
        np.testing.assert_allclose(found, exact_gradient / 2, atol=1e-6)
    else:
        values = VALUES if name in ("actor_critic", "ppo") else 0 * VALUES
        by_hand = divided_by_tokens(values)
        np.testing.assert_allclose(found, by_hand, atol=1e-6)
        one, other = (x / np.linalg.norm(x) for x in (found, exact_gradient))
        assert np.abs(one - other).max() > 1e-3


def divided_by_tokens(values):
    """The gradient above in closed form, G_t - V_t for each token."""
    p = probabilities(LOGITS).numpy()
    table = tf.nn.softmax(LOGITS).numpy()
    returns = np.where(MASK, REWARDS, 0)[:, ::-1].cumsum(1)[:, ::-1]
    total = np.zeros((3, 3))
    for i, j in itertools.product(range(7), repeat=2):
        share = p[i] * p[j] / MASK[[i, j]].sum()
        for row, t in itertools.product((i, j), range(2)):
            if MASK[row, t]:
                state, action = STATES[row, t], ACTIONS[row, t]
                score = np.eye(3)[action] - table[state]
                advantage = returns[row, t] - values[row, t]
                total[state] += share * advantage * score
    return total


def sampled_rows(count):
    """Texts drawn from the policy by the sampler that it samples with."""
    noise = np.random.default_rng(2).random((2, count, 2), np.float32)
    sampling = Sampling().per_row(count)
    first, _ = draw(tf.gather(LOGITS, np.zeros(count, int)), noise[0], sampling)
    second, _ = draw(tf.gather(LOGITS, first), noise[1], sampling)
    lookup = {text: row for row, text in enumerate(TEXTS)}
    pairs = zip(first.numpy(), second.numpy(), strict=True)
    return np.array([lookup[(a,) if a == 0 else (a, b)] for a, b in pairs])


@pytest.mark.parametrize(
    "baseline", ["none", "moving_mean", "self_critical", "mean", "value"]
)
def test_over_sampled_texts_within_three_standard_errors(
    baseline, exact_gradient
):
    algorithm = algorithms.get("reinforce", baseline=baseline)
    rows = sampled_rows(20_000)
    rollout = Rollout(None, None, None, MASK[rows], None, VALUES[rows])
    targets = algorithm.targets(rollout, REWARDS[rows], context(rows))
    p = tf.nn.softmax(LOGITS).numpy()
    each = np.zeros((len(rows), 3, 3))
    for t in range(2):
        state, action = STATES[rows, t], ACTIONS[rows, t]
        slope = np.eye(3)[action] - p[state]
        advantages = targets.advantages.numpy()[:, t, None]
        each[np.arange(len(rows)), state] += advantages * slope
    error = each.std(axis=0) / np.sqrt(len(rows))
    gap = np.abs(each.mean(axis=0) - exact_gradient)
    assert (gap <= 3 * error + 1e-7).all()
    assert error.max() < 0.03  # it can tell a bias of a tenth


def test_baselines_lower_the_variance():
    """Adding a constant to every reward changes nothing but the noise."""
    algorithm = algorithms.get("reinforce", baseline="none")
    with_mean = algorithms.get("reinforce", baseline="mean")
    rollout = Rollout(None, None, None, MASK, None, VALUES)
    spread = [
        np.square(a.targets(rollout, REWARDS + 100.0).advantages).sum()
        for a in (algorithm, with_mean)
    ]
    assert spread[1] < spread[0] / 4
