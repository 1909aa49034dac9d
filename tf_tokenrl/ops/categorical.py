"""Log-probs, entropy and exact KL of categorical distributions.

One function with a gradient of its own, by one of two ways that give the same
numbers: on whole logits `[N, V]`, which is fastest, or a piece of the
vocabulary at a time, which needs next to no memory.
"""

from collections.abc import Callable

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops import streamed
from tf_tokenrl.ops.streamed import Head, Judged, Sums

LARGEST = 2**28  # bytes of logits that are held at once
CHUNK = 4096  # entries of the vocabulary, where they are not


def judge(
    policy: Head,
    actions: Tensor,
    reference: Head | None = None,
    largest: int = LARGEST,
    chunk: int = CHUNK,
) -> Judged:
    """What distributions say of actions, in nats.

        log p(a) = z_a - log sum_v exp(z_v)
        H        = - sum_v p_v log p_v
        KL       = sum_v p_v (log p_v - log q_v)

    Args:
        policy: of p; its states and the weights that learn get gradients,
            once.
        actions: int32 `[N]`.
        reference: of q, over the same vocabulary; gets no gradient.
        largest: bytes. Logits `[N, V]` in float32 that are larger, and all
            that have a reference, are made piece by piece and for the
            gradient a second time.
        chunk: entries of the vocabulary in a piece.

    Returns:
        float32 `[N]` each, see `Judged`.
    """
    if reference is not None:
        reference = reference._replace(
            states=tf.stop_gradient(reference.states),
            weights=[tf.stop_gradient(w) for w in reference.weights],
        )
    large = reference is not None or _exceeds(policy, largest)

    @tf.custom_gradient
    def judged(states, *weights):
        rest = policy.weights[len(weights) :]  # these get no gradient
        head = policy._replace(states=states, weights=[*weights, *rest])

        def in_pieces():
            sums = streamed.forward(head, reference, actions, chunk)
            return sums, tf.zeros([0, 0])

        sums, kept = _either(large, in_pieces, lambda: _whole(head, actions))

        def gradient(*upstream):
            given = Judged(*upstream, *([None] * (3 - len(upstream))))

            def in_pieces():
                return streamed.backward(
                    head, reference, actions, chunk, sums, given
                )

            def whole():
                outer = _slope(sums, kept, actions, given)
                return streamed.pull_back(head, head.weights, outer)

            return _either(large, in_pieces, whole)

        found = [sums.log_probs, sums.entropy]
        if reference is not None:
            found.append(tf.maximum(sums.divergence, 0.0))
        return found, gradient

    found = judged(policy.states, *policy.weights[: policy.learning])
    return Judged(*found, *([None] * (3 - len(found))))


def of_logits(logits: Tensor) -> Head:
    """Logits `[N, V]` that are there already."""
    return Head(logits, (), lambda states, _: states)


def _exceeds(head: Head, largest: int) -> Tensor | bool:
    """Whether the logits are larger; a bool where the rows are known."""
    if not head.weights:
        return False
    row = 4 * int(head.weights[0].shape[0])
    rows = head.states.shape[0]
    if rows is None:
        return tf.shape(head.states, tf.int64)[0] * row > largest
    return rows * row > largest


def _either(condition: Tensor | bool, first: Callable, second: Callable):
    if isinstance(condition, bool):
        return first() if condition else second()
    return tf.cond(condition, first, second)


def _whole(head: Head, actions: Tensor) -> tuple[Sums, Tensor]:
    """The sums, and exp(z - top), which the gradient is made of."""
    z = tf.cast(head.logits(head.states, head.weights), tf.float32)
    top = tf.reduce_max(z, axis=-1)
    below = z - top[:, None]
    weights = tf.exp(below)
    moment = tf.math.multiply_no_nan(below, weights)
    sums = streamed.no_sums(head)._replace(
        top=top,
        total=tf.reduce_sum(weights, axis=-1),
        moment=tf.reduce_sum(moment, axis=-1),
        chosen=tf.gather(z, actions, batch_dims=1),
    )
    return sums, weights


def _slope(
    sums: Sums, weights: Tensor, actions: Tensor, upstream: Judged
) -> Tensor:
    """The gradient of whole logits, see `streamed.backward`."""
    log_total = tf.math.log(sums.total)
    to_entropy = -upstream.entropy / sums.total

    def with_entropy():
        below = tf.math.log(weights) - log_total[:, None]
        below += sums.entropy[:, None]
        return tf.math.multiply_no_nan(below, weights) * to_entropy[:, None]

    slope = weights * (-upstream.log_probs / sums.total)[:, None]
    # Most losses leave the entropy alone, and that is known here only now.
    slope = tf.cond(
        tf.reduce_any(upstream.entropy != 0.0),
        lambda: slope + with_entropy(),
        lambda: slope,
    )
    rows = tf.range(tf.shape(actions)[0])
    return tf.tensor_scatter_nd_add(
        slope, tf.stack([rows, actions], axis=1), upstream.log_probs
    )
