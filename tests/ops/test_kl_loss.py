"""What a divergence in the loss restrains, by enumeration and by sampling.

One state, a vocabulary of three: the policy now, the one that drew the
actions, and the reference.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.oracles import exact_kl
from tf_tokenrl.ops import kl

LOGITS = tf.constant([0.3, -1.2, 2.0])
OLD = tf.nn.log_softmax(tf.constant([0.5, -0.8, 1.4]))
REFERENCE = tf.nn.log_softmax(tf.constant([0.1, 0.4, 1.0]))
each_estimator = pytest.mark.parametrize("estimator", kl.ESTIMATORS)


def losses(estimator, actions, old=OLD, direct=False):
    """The loss of each action `[1, N]` as a function of the logits."""

    def compute(logits):
        def of(log_probs):
            return tf.gather(log_probs, actions)[None]

        mask = tf.ones([1, len(actions)], tf.bool)
        new = of(tf.nn.log_softmax(logits))
        return kl.kl_loss(estimator, new, of(old), of(REFERENCE), mask, direct)

    return compute


def expected(estimator, old, **options):
    """Value and gradient in the mean over actions drawn from `old`."""
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        loss = losses(estimator, [0, 1, 2], old, **options)(LOGITS)
        mean = tf.reduce_sum(tf.exp(old) * loss)
    return mean, tape.gradient(mean, LOGITS)


def gradient_of_kl(backwards=False):
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        pair = (LOGITS, REFERENCE)
        value = exact_kl(*(pair[::-1] if backwards else pair))
    return value, tape.gradient(value, LOGITS)


@each_estimator
@pytest.mark.parametrize("old", [OLD, tf.nn.log_softmax(LOGITS)])
def test_the_gradient_is_that_of_the_exact_divergence(estimator, old):
    """Also where another policy drew the actions."""
    _, wanted = gradient_of_kl()
    _, found = expected(estimator, old)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("estimator", ["k1", "k3"])
@pytest.mark.parametrize("old", [OLD, tf.nn.log_softmax(LOGITS)])
def test_the_value_is_that_of_the_exact_divergence(estimator, old):
    wanted, _ = gradient_of_kl()
    found, _ = expected(estimator, old)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@each_estimator
def test_the_gradient_of_samples_lies_within_3_standard_errors(estimator):
    """20,000 actions drawn from the old policy."""
    draws = np.random.default_rng(0).choice(3, 20_000, p=np.exp(OLD))
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        loss = losses(estimator, [0, 1, 2])(LOGITS)[0]
    each = tape.jacobian(loss, LOGITS).numpy()[draws]
    _, wanted = gradient_of_kl()
    error = each.std(0) / np.sqrt(len(draws))
    assert (np.abs(each.mean(0) - wanted) < 3 * error).all()
    assert (error > 0).all()


def test_k1_by_itself_restrains_nothing():
    _, found = expected("k1", tf.nn.log_softmax(LOGITS), direct=True)
    np.testing.assert_allclose(found, np.zeros(3), atol=1e-6)


def test_k3_by_itself_restrains_the_other_divergence():
    _, found = expected("k3", tf.nn.log_softmax(LOGITS), direct=True)
    _, other = gradient_of_kl(backwards=True)
    np.testing.assert_allclose(found, other, atol=1e-6)
    _, right = gradient_of_kl()
    assert np.abs(found - right).max() > 0.05


@each_estimator
def test_the_value_is_the_estimator_and_the_policy_alone_moves(estimator):
    log_probs = tf.constant([[-1.0, -0.2, np.nan, -3.0]])
    old = tf.constant([[-1.0, -0.2, np.nan, -3.5]])
    reference = tf.constant([[-1.5, -0.1, np.nan, -1.0]])
    mask = tf.constant([[True, True, False, True]])
    with tf.GradientTape() as tape:
        tape.watch([log_probs, old, reference])
        loss = kl.kl_loss(estimator, log_probs, old, reference, mask)
    ratio = np.array([0.5, -0.1, 0.0, -2.0], np.float32)
    weight = np.array([1, 1, 0, np.exp(0.5)], np.float32)
    wanted = weight * kl.ESTIMATORS[estimator](tf.constant(ratio))
    np.testing.assert_allclose(loss[0], wanted, rtol=1e-5)
    moves = tape.gradient(loss, [log_probs, old, reference])
    np.testing.assert_allclose(moves[0][0], weight * ratio, rtol=1e-5)
    assert moves[1:] == [None, None]


@each_estimator
@pytest.mark.parametrize("gap", [-500.0, 500.0])
def test_a_policy_that_has_run_away_gives_finite_numbers(estimator, gap):
    log_probs = tf.constant([[-600.0]])
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        far = log_probs + gap
        loss = kl.kl_loss(estimator, log_probs, far, far, tf.constant([[True]]))
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, log_probs)).all()
