"""Comparing a row with the other rows of its group, position by position.

Groups are adjacent rows: `group` of them answer one prompt. A row that has
ended before t, or has not begun, takes part at t with its nearest chosen
entry, see `hold`.
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops.returns import carry_forward

DEVIATION_FLOOR = 1e-4


def hold(x: Tensor, mask: Tensor) -> Tensor:
    """Each masked slot takes the last chosen entry before it.

    Slots before the first chosen one take that one, a row without any is 0.

    Returns:
        float32 `[B, T]`, equal to `x` at chosen positions.
    """
    before = carry_forward(x, mask)
    after = carry_forward(tf.reverse(x, [1]), tf.reverse(mask, [1]))
    begun = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
    return tf.where(begun, before, tf.reverse(after, [1]))


def mean_of_others(x: Tensor, group: Tensor | int) -> Tensor:
    """For each row of `x` `[B, T]` the mean of the other rows of its group.

    A row without others gets 0.
    """
    groups = tf.reshape(x, (-1, group, tf.shape(x)[1]))
    others = tf.reduce_sum(groups, axis=1, keepdims=True) - groups
    count = tf.cast(tf.maximum(group - 1, 1), tf.float32)
    return tf.reshape(others / count, tf.shape(x))


def group_advantages(returns: Tensor, group: int, scale: bool) -> Tensor:
    """Returns `[B, T]` minus their mean over the group, each position alone.

        A = G - mean(G)  [/ (standard deviation(G) + 1e-4)]

    Args:
        returns: float32 `[B, T]`, held where a row has no token.
        group: adjacent rows that answer one prompt.
        scale: divide by the group's standard deviation.

    Source: Shao et al. (2024), "DeepSeekMath", section 4.1.2; without the
    division Liu et al. (2025), "Understanding R1-Zero-Like Training".

    Note:
        The standard deviation divides by n - 1 and 1e-4 is added to it, as
        in TRL; verl adds 1e-6. Where all rows earned the same the result is
        exactly 0, whatever the rounding of their mean.
    """
    groups = tf.reshape(returns, (-1, group, tf.shape(returns)[1]))
    groups -= groups[:, :1]
    centred = groups - tf.reduce_mean(groups, axis=1, keepdims=True)
    if scale:
        squares = tf.reduce_sum(tf.square(centred), axis=1, keepdims=True)
        deviation = tf.sqrt(squares / max(group - 1, 1))
        centred /= deviation + DEVIATION_FLOOR
    return tf.reshape(centred, tf.shape(returns))
