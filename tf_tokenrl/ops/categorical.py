"""Log-probs and entropy of categorical distributions given by logits."""

import tensorflow as tf

from tf_tokenrl.flow import Tensor


def log_probs(
    logits: Tensor, actions: Tensor, temperature: Tensor = 1.0
) -> Tensor:
    """Log-probability of each action, nats.

        log p(a) = l_a / temperature - log sum_v exp(l_v / temperature)

    Args:
        logits: float `[N, V]`.
        actions: int32 `[N]`.
        temperature: above 0.

    Returns:
        float32 `[N]`, differentiable once in the logits.

    Note:
        Equal to `tf.nn.sparse_softmax_cross_entropy_with_logits`, negated.
        Here the exponentials of the forward pass serve the backward pass as
        well, and the temperature costs no pass of its own.
    """

    @tf.custom_gradient
    def chosen(logits):
        scaled, weights, total = _softmax_parts(logits, temperature)
        value = tf.gather(scaled, actions, batch_dims=1) - tf.math.log(total)

        def gradient(upstream):
            upstream = upstream / temperature
            rows = tf.range(tf.shape(actions)[0])
            return tf.tensor_scatter_nd_add(
                weights * (-upstream / total)[:, None],
                tf.stack([rows, actions], axis=1),
                upstream,
            )

        return value, gradient

    return chosen(tf.cast(logits, tf.float32))


def entropy(logits: Tensor, temperature: Tensor = 1.0) -> Tensor:
    """Entropy of each distribution, nats.

        H = log Z - sum_v p_v l_v / temperature

    Args:
        logits: float `[N, V]`.
        temperature: above 0.

    Returns:
        float32 `[N]`, differentiable in the logits.
    """
    logits = tf.cast(logits, tf.float32)
    scaled, weights, total = _softmax_parts(logits, temperature)
    return tf.math.log(total) - tf.reduce_sum(weights * scaled, -1) / total


def _softmax_parts(logits: Tensor, temperature: Tensor):
    """Logits less their maximum, their exponentials, and the sum of those."""
    highest = tf.stop_gradient(tf.reduce_max(logits, axis=-1, keepdims=True))
    scaled = (logits - highest) / temperature
    weights = tf.exp(scaled)
    return scaled, weights, tf.reduce_sum(weights, axis=-1)
