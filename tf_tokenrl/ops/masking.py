"""Sums, means and whitening over the chosen positions only.

A masked slot is removed with `tf.where` before anything is computed from it,
so that NaN there changes neither a value nor a gradient (NaN times 0 is NaN).
A mask of None means that every position was chosen.
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor

VARIANCE_FLOOR = 1e-8


def check_shapes(*tensors: Tensor) -> None:
    """Require `[B, T]` tensors of one shape: broadcasting hides mistakes.

    Raises:
        ValueError: one has another rank, or two shapes contradict.
    """
    common = tf.TensorShape([None, None])
    for tensor in tensors:
        common = common.merge_with(tf.TensorShape(tensor.shape))


def keep_chosen(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """`x` as float32 where `mask` is True, 0 elsewhere; same shape."""
    x = tf.cast(x, tf.float32)
    return x if mask is None else tf.where(mask, x, tf.zeros_like(x))


def masked_sum(
    x: Tensor, mask: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """Sum of `x` where `mask` is True, over `axis` or over everything."""
    return tf.reduce_sum(keep_chosen(x, mask), axis)


def masked_mean(
    x: Tensor, mask: Tensor | None = None, axis: int | None = None
) -> Tensor:
    """Mean of `x` where `mask` is True; 0 where nothing was chosen."""
    count = masked_sum(tf.ones_like(x, tf.float32), mask, axis)
    return tf.math.divide_no_nan(masked_sum(x, mask, axis), count)


def masked_whiten(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Bring the chosen entries of `x` to mean 0 and variance 1.

        y = (x - mean) / sqrt(variance + 1e-8)

    Args:
        x: float `[B, T]`.
        mask: bool `[B, T]`.

    Returns:
        float32 `[B, T]`, 0 in masked slots. An empty mask gives zeros, one
        chosen entry its distance from itself, 0.

    Source: `whiten` of Ziegler et al. (2019), "Fine-Tuning Language Models
    from Human Preferences".

    Note:
        The biased variance is the convention of that paper's code; TRL and
        verl divide by n - 1, which matters in batches of few tokens. All
        agree only where padding is left out.
    """
    x = keep_chosen(x, mask)
    mean = masked_mean(x, mask)
    centred = keep_chosen(x - mean, mask)
    variance = masked_mean(centred**2, mask)
    return centred * tf.math.rsqrt(variance + VARIANCE_FLOOR)


def loss_weights(mask: Tensor, normalization: str, longest: int) -> Tensor:
    """What each token's loss counts in the loss of a global minibatch.

        "token":     1 / tokens of the minibatch
        "sequence":  1 / (tokens of the row * rows)
        "constant":  1 / (longest * rows)

    Args:
        mask: bool `[B, T]` of the whole global minibatch.
        normalization: which; "token" gives each token the same say,
            "sequence" each row, and "constant" each token whatever the
            lengths of this minibatch.
        longest: the most tokens a row may have.

    Returns:
        float32 `[B, T]`, 0 in masked slots. Rows without a token do not
        count as rows.

    Note:
        The actions decide how many tokens a minibatch has, and the mean of a
        quotient is not the quotient of the means: with "token" the mean
        gradient is that of the expected reward up to O(1 / rows), with
        "constant" exactly, up to the factor 1 / longest.

    Source: "token": verl's form of Yu et al. (2025), "DAPO", eq. 8, which
    divides the answers to each prompt by their own tokens; "sequence": Shao
    et al. (2024), "DeepSeekMath", eq. 3; "constant": Liu et al. (2025),
    "Understanding R1-Zero-Like Training", section 3.2.
    """
    chosen = tf.cast(mask, tf.float32)
    lengths = tf.reduce_sum(chosen, axis=1, keepdims=True)
    if normalization == "token":
        return tf.math.divide_no_nan(chosen, tf.reduce_sum(lengths))
    rows = tf.reduce_sum(tf.cast(lengths > 0, tf.float32))
    size = lengths if normalization == "sequence" else float(longest)
    return tf.math.divide_no_nan(chosen, size * rows)
