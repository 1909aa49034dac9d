"""What to minimise, per token and not yet reduced.

All tensors are float32 `[B, T]`, `mask` is bool `[B, T]`, and results are 0
in masked slots. Whoever reduces divides by the *global* number of chosen
tokens. Old log-probabilities and values, advantages and returns are constants
to the gradient.
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops.masking import check_shapes, keep_chosen

LARGEST_LOG_RATIO = 20.0


def policy_gradient_loss(
    log_probs: Tensor, advantages: Tensor, mask: Tensor
) -> Tensor:
    """`-A_t log p(a_t)`; its gradient is minus the policy gradient.

    Source: Williams (1992), "Simple Statistical Gradient-Following
    Algorithms for Connectionist Reinforcement Learning".
    """
    check_shapes(log_probs, advantages, mask)
    advantages = tf.stop_gradient(keep_chosen(advantages, mask))
    return -advantages * keep_chosen(log_probs, mask)


def log_ratio(log_probs: Tensor, old_log_probs: Tensor, mask: Tensor) -> Tensor:
    """`log p_new(a_t) - log p_old(a_t)` in nats, 0 in masked slots."""
    check_shapes(log_probs, old_log_probs, mask)
    old = tf.stop_gradient(keep_chosen(old_log_probs, mask))
    return keep_chosen(log_probs, mask) - old


def clipped_surrogate_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip: float,
    clip_high: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The policy loss of proximal policy optimisation.

        max(-A r, -A clip(r, 1 - clip, 1 + clip_high)),   r = p_new / p_old

    Args:
        log_probs: of the policy now, in nats.
        old_log_probs: of the policy that collected the batch, in nats.
        advantages: in units of the return, usually whitened.
        mask: True where an action was chosen.
        clip: how far the ratio may usefully move from 1.
        clip_high: the same upwards, if it differs.

    Returns:
        The loss, and 1.0 where clipping took the gradient away, else 0.0.

    Source: Schulman et al. (2017), "Proximal Policy Optimization Algorithms",
    eq. 7, with the sign of a loss; two bounds: Yu et al. (2025), "DAPO".

    Note:
        The log-ratio is capped at +-20 as in verl, so that a ratio which only
        a diverged policy reaches stays finite; its gradient is then 0.
    """
    check_shapes(log_probs, advantages)
    advantages = tf.stop_gradient(keep_chosen(advantages, mask))
    bounded = tf.clip_by_value(
        log_ratio(log_probs, old_log_probs, mask),
        -LARGEST_LOG_RATIO,
        LARGEST_LOG_RATIO,
    )
    ratio = tf.exp(bounded)
    free = -advantages * ratio
    highest = 1.0 + (clip if clip_high is None else clip_high)
    bound = -advantages * tf.clip_by_value(ratio, 1.0 - clip, highest)
    return tf.maximum(free, bound), tf.cast(bound > free, tf.float32)


def value_loss(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """`(V - G)^2 / 2`."""
    check_shapes(values, returns, mask)
    returns = tf.stop_gradient(keep_chosen(returns, mask))
    return 0.5 * tf.square(keep_chosen(values, mask) - returns)


def clipped_value_loss(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    clip: float,
) -> tuple[Tensor, Tensor]:
    """A value loss that does not reward moving far from the old value.

        max((V - G)^2, (clip(V, V_old - clip, V_old + clip) - G)^2) / 2

    Args:
        values: of the critic now, in units of the return.
        old_values: of the critic that collected the batch.
        returns: what the critic should have said.
        mask: True where an action was chosen.
        clip: in units of the return.

    Returns:
        The loss, and 1.0 where clipping took the gradient away, else 0.0.

    Source: the `ppo2` code of OpenAI Baselines and Ziegler et al. (2019).

    Note:
        The paper of PPO does not contain it.
    """
    check_shapes(values, old_values, returns, mask)
    old_values = tf.stop_gradient(keep_chosen(old_values, mask))
    values = keep_chosen(values, mask)
    near = tf.clip_by_value(values, old_values - clip, old_values + clip)
    free = value_loss(values, returns, mask)
    bound = value_loss(near, returns, mask)
    return tf.maximum(free, bound), tf.cast(bound > free, tf.float32)
