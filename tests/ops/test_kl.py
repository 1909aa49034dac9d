"""Divergences by enumeration over a vocabulary of three."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.oracles import exact_kl
from tf_tokenrl.ops import kl

LOGITS = tf.constant([[0.3, -1.2, 2.0], [1.0, 0.0, -3.0]])
REFERENCE = tf.constant([[0.1, 0.4, 1.0], [-1.0, 0.5, 0.2]])


def expected(estimator, logits=LOGITS):
    """The mean of an estimator over actions drawn from the policy."""
    log_p = tf.nn.log_softmax(logits)
    ratio = log_p - tf.nn.log_softmax(REFERENCE)
    weights = tf.stop_gradient(tf.exp(log_p))
    return tf.reduce_sum(weights * estimator(ratio), axis=-1)


@pytest.mark.parametrize("estimator", [kl.k1, kl.k3])
def test_k1_and_k3_are_unbiased(estimator):
    np.testing.assert_allclose(
        expected(estimator), exact_kl(LOGITS, REFERENCE), rtol=1e-5
    )


def test_the_gradient_of_k2_is_unbiased():
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(LOGITS)
        exact = exact_kl(LOGITS, REFERENCE)
        estimate = expected(kl.k2)
    np.testing.assert_allclose(
        tape.gradient(estimate, LOGITS),
        tape.gradient(exact, LOGITS),
        rtol=1e-4,
        atol=1e-6,
    )


def test_values_by_hand():
    ratio = tf.constant([-0.5, 0.0, 1.0])
    np.testing.assert_allclose(kl.k1(ratio), [-0.5, 0, 1])
    np.testing.assert_allclose(kl.k2(ratio), [0.125, 0, 0.5])
    np.testing.assert_allclose(
        kl.k3(ratio), [np.e**0.5 - 1.5, 0, np.e**-1], rtol=1e-6
    )


def test_k2_and_k3_are_never_negative():
    ratio = tf.linspace(-5.0, 5.0, 1001)
    assert (kl.k2(ratio).numpy() >= 0).all()
    assert (kl.k3(ratio).numpy() >= 0).all()


@pytest.mark.parametrize("estimator", kl.ESTIMATORS)
@pytest.mark.parametrize("gap", [-1e4, -60.0, 60.0, 1e4])
def test_big_gaps_have_finite_values_and_gradients(estimator, gap):
    ratio = tf.constant(gap)
    with tf.GradientTape() as tape:
        tape.watch(ratio)
        value = kl.ESTIMATORS[estimator](ratio)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, ratio))


def test_golden_exact_kl():
    # 4.4474: tests/test_ppo_trainer.py of TRL 0.11.4, KL penalty "full".
    p, q = [0.98, 0.01, 0.01], [0.01, 0.01, 0.98]
    value = exact_kl(np.log([p]), np.log([q]))
    np.testing.assert_allclose(value, [4.4474], atol=5e-5)


def test_exact_kl_is_zero_between_equals_and_ignores_a_shift():
    np.testing.assert_allclose(
        exact_kl(LOGITS, LOGITS + 5.0), [0, 0], atol=1e-6
    )


def test_excluded_entries_take_no_part():
    cut = tf.constant([[0.3, -np.inf, 2.0]])
    with tf.GradientTape() as tape:
        tape.watch(cut)
        value = exact_kl(cut, REFERENCE[:1])
    p = np.exp([0.3, 2.0]) / np.exp([0.3, 2.0]).sum()
    log_q = tf.nn.log_softmax(REFERENCE[0]).numpy()[[0, 2]]
    np.testing.assert_allclose(
        value, [(p * (np.log(p) - log_q)).sum()], rtol=1e-5
    )
    assert np.isfinite(tape.gradient(value, cut)).all()
    assert np.isinf(exact_kl(REFERENCE[:1], cut)).all()
