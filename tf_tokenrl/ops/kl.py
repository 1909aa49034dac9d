"""Kullback-Leibler divergence between a policy and a reference, in nats.

The estimators take `log_ratio = log p(action) - log q(action)` for actions
drawn from p, elementwise, and estimate KL(p || q) per position.

`kl_loss` is what to minimise; the divergence of `ops.categorical.judge` is
not an estimate.

Source: Schulman (2020), "Approximating KL Divergence".
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops.masking import check_shapes, keep_chosen

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


def kl_loss(
    estimator: str,
    log_probs: Tensor,
    old_log_probs: Tensor,
    reference_log_probs: Tensor,
    mask: Tensor,
    direct: bool = False,
) -> Tensor:
    """KL(p || q) to the reference, per sampled token, to be minimised.

        value     w k(log p - log q)
        gradient  w (log p - log q) d log p,   w = p / p_old, a constant

    for actions drawn from p_old. Over the actions of a state the value has
    the mean of the estimator, and the gradient the mean d KL(p || q), for
    every estimator.

    An estimator has to be differentiated with the distribution it averages
    over, not by itself. k1 by itself has a gradient of mean 0: it restrains
    nothing. k3 by itself has that of KL(q || p), the divergence the other way
    round. k2 happens to be right; its gradient is the one used here.

    Args:
        estimator: a name of `ESTIMATORS`, which gives the value.
        log_probs: float32 `[B, T]` of the policy now, in nats.
        old_log_probs: float32 `[B, T]` of the policy that drew the actions.
        reference_log_probs: float32 `[B, T]` of the reference.
        mask: bool `[B, T]`, True where an action was chosen.
        direct: differentiate the estimator by itself and leave out w, as
            GRPO was published with k3.

    Returns:
        float32 `[B, T]` in nats, 0 in masked slots.

    Source: Tang and Munos (2025), "On a few pitfalls in KL divergence
    gradient estimation for RL"; k3 by itself: Shao et al. (2024),
    "DeepSeekMath", eq. 4.

    Note:
        Tokens that come later are held fixed, as in the loss of every
        library; KL as a reward counts them too. log w is capped at +-20.
    """
    check_shapes(log_probs, old_log_probs, reference_log_probs, mask)
    new = keep_chosen(log_probs, mask)
    old = tf.stop_gradient(keep_chosen(old_log_probs, mask))
    log_ratio = new - tf.stop_gradient(keep_chosen(reference_log_probs, mask))
    if direct:
        return ESTIMATORS[estimator](log_ratio)
    log_weight = tf.clip_by_value(
        new - old, -LARGEST_EXPONENT, LARGEST_EXPONENT
    )
    weight = tf.stop_gradient(tf.exp(log_weight))
    value = tf.stop_gradient(ESTIMATORS[estimator](log_ratio))
    moving = k2(log_ratio)
    return weight * (moving - tf.stop_gradient(moving) + value)
