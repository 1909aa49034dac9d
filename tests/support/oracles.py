"""What the library computes in parts, computed at once."""

import tensorflow as tf


def exact_kl(logits, reference_logits):
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
