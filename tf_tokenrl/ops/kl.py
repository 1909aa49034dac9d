"""Kullback-Leibler divergence between a policy and a reference, in nats.

The estimators take `log_ratio = log p(action) - log q(action)` for actions
drawn from p, elementwise, and estimate KL(p || q) per position.

Source: Schulman (2020), "Approximating KL Divergence".
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor

LARGEST_EXPONENT = 20.0


def k1(log_ratio: Tensor) -> Tensor:
    """log(p/q): unbiased, of either sign."""
    return tf.convert_to_tensor(log_ratio)


def k2(log_ratio: Tensor) -> Tensor:
    """log(p/q)^2 / 2: biased, never negative; its gradient is unbiased."""
    return 0.5 * tf.square(log_ratio)


def k3(log_ratio: Tensor) -> Tensor:
    """q/p - 1 - log(q/p): unbiased, never negative.

    Note:
        log(q/p) is capped at 20, where q/p is 5e8: beyond that the estimate
        is constant and its gradient 0, since exp overflows float32 at 88.
        verl caps both sides and the estimate too, at 10; the other side needs
        no cap, for there k3 grows only linearly.
    """
    inverse = tf.minimum(-tf.convert_to_tensor(log_ratio), LARGEST_EXPONENT)
    return tf.math.expm1(inverse) - inverse


ESTIMATORS = {"k1": k1, "k2": k2, "k3": k3}


def exact_kl(logits: Tensor, reference_logits: Tensor) -> Tensor:
    """KL(p || q) over the whole vocabulary, not an estimate.

        sum_v p_v (log p_v - log q_v)

    Args:
        logits: float `[..., V]` of p; -inf gives an entry no probability.
        reference_logits: float `[..., V]` of q.

    Returns:
        float32 `[...]`; +inf where p chooses what q never would.
    """
    log_p = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    log_q = tf.nn.log_softmax(tf.cast(reference_logits, tf.float32))
    p = tf.exp(log_p)
    log_ratio = tf.where(p > 0, log_p - log_q, tf.zeros_like(p))
    return tf.reduce_sum(p * log_ratio, axis=-1)
