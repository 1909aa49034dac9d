"""From rewards and values to returns and advantages.

Time passes only at chosen positions. A masked position, be it padding or a
forced token between two chosen ones, is skipped: it contributes no reward, is
not discounted, and the chosen positions on its two sides are neighbours.

Note:
    This is the convention of verl and Tunix. OpenRLHF lets discount and trace
    pass through interior masked slots; on right-padded rows all agree.
"""

import tensorflow as tf

from tf_tokenrl.flow import Tensor
from tf_tokenrl.ops.masking import check_shapes, keep_chosen


def discounted_returns(
    rewards: Tensor,
    mask: Tensor,
    discount: float = 1.0,
) -> Tensor:
    """The return that follows each action.

        G_t = r_t + discount * G_{t+1},   G_end = 0

    Args:
        rewards: float `[B, T]`.
        mask: bool `[B, T]`.
        discount: between 0 and 1, per chosen token.

    Returns:
        float32 `[B, T]`, 0 in masked slots.

    Source: Sutton and Barto (2018), "Reinforcement Learning", eq. 3.9.
    """
    check_shapes(rewards, mask)
    decays = tf.where(mask, discount, 1.0)
    end = tf.zeros_like(mask[:, 0], tf.float32)
    returns = _recur(keep_chosen(rewards, mask), decays, end)
    return keep_chosen(returns, mask)


def generalized_advantage_estimation(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    discount: float = 1.0,
    trace_decay: float = 0.95,
) -> Tensor:
    """Exponentially weighted sum of temporal-difference errors.

        delta_t = r_t + discount * V_{t+1} - V_t
        A_t     = delta_t + discount * trace_decay * A_{t+1},   A_end = 0

    where `t + 1` is the next chosen position and V_end is 0.

    Args:
        rewards: float `[B, T]`.
        values: float `[B, T]`, value of the state in which the action at `t`
            was chosen, in units of the return.
        mask: bool `[B, T]`.
        discount: gamma, between 0 and 1, per chosen token.
        trace_decay: lambda, between 0 (one step) and 1 (return minus value).

    Returns:
        float32 `[B, T]`, 0 in masked slots. `advantages + values` are the
        lambda-returns, to be formed before any whitening.

    Source: Schulman et al. (2016), "High-Dimensional Continuous Control Using
    Generalized Advantage Estimation", eq. 16.
    """
    check_shapes(rewards, values, mask)
    values = keep_chosen(values, mask)
    end = tf.zeros_like(mask[:, 0], tf.float32)
    nearest = _recur(values, tf.where(mask, 0.0, 1.0), end)
    next_values = tf.concat([nearest[:, 1:], end[:, tf.newaxis]], axis=1)
    errors = keep_chosen(rewards, mask) + discount * next_values - values
    decays = tf.where(mask, discount * trace_decay, 1.0)
    errors = keep_chosen(errors, mask)
    return keep_chosen(_recur(errors, decays, tf.zeros_like(end)), mask)


def n_step_advantages(
    rewards: Tensor,
    values: Tensor,
    mask: Tensor,
    discount: float,
    steps: int,
) -> Tensor:
    """The rewards of the next n tokens, then the critic's word for the rest.

        A_t = sum_{i<n} discount^i r_{t+i} + discount^n V_{t+n} - V_t

    where `t + i` counts chosen positions; beyond the last both r and V are 0.

    Args:
        rewards: float `[B, T]`.
        values: float `[B, T]`, as in `generalized_advantage_estimation`.
        mask: bool `[B, T]`.
        discount: gamma, between 0 and 1, per chosen token.
        steps: n, at least 1; with n >= T this is return minus value.

    Returns:
        float32 `[B, T]`, 0 in masked slots.

    Source: Mnih et al. (2016), "Asynchronous Methods for Deep Reinforcement
    Learning", section 4.

    Note:
        Algorithm S3 there counts back from the end of a fixed stretch, so n
        varies along it; here every token looks n tokens ahead.
    """
    check_shapes(rewards, values, mask)
    rewards, values = keep_chosen(rewards, mask), keep_chosen(values, mask)
    skip = tf.where(mask, 0.0, 1.0)
    end = tf.zeros_like(rewards[:, 0])

    def look_ahead(step, ahead):
        nearest = _recur(keep_chosen(ahead, mask), skip, end)
        following = tf.pad(nearest[:, 1:], [[0, 0], [0, 1]])
        return step + 1, keep_chosen(rewards + discount * following, mask)

    _, ahead = tf.while_loop(
        lambda step, _: step < steps, look_ahead, (0, values)
    )
    return keep_chosen(ahead - values, mask)


def carry_forward(x: Tensor, mask: Tensor) -> Tensor:
    """Each masked slot takes the last chosen entry before it, else 0.

    Returns:
        float32 `[B, T]`, equal to `x` at chosen positions.
    """
    check_shapes(x, mask)
    terms, decays = keep_chosen(x, mask), tf.where(mask, 0.0, 1.0)
    end = tf.zeros_like(terms[:, 0])
    carried = _recur(tf.reverse(terms, [1]), tf.reverse(decays, [1]), end)
    return tf.reverse(carried, [1])


def _recur(terms: Tensor, decays: Tensor, end: Tensor) -> Tensor:
    """Solve x_t = terms_t + decays_t * x_{t+1}, x_T = end, for `[B, T]`.

    By doubling (Hillis and Steele, 1986): after k rounds each slot has summed
    the 2^k terms ahead of it, so T = 1024 takes 11 rounds instead of 1024.
    The decay of the end slot is 0, hence nothing that `tf.roll` wraps round
    from the front of the row is ever counted.
    """
    terms = tf.concat([terms, end[:, tf.newaxis]], axis=1)
    decays = tf.concat([decays, tf.zeros_like(end)[:, tf.newaxis]], axis=1)
    length = tf.shape(terms)[1]

    def double(reach, terms, decays):
        terms += decays * tf.roll(terms, -reach, axis=1)
        decays *= tf.roll(decays, -reach, axis=1)
        return 2 * reach, terms, decays

    _, terms, _ = tf.while_loop(
        lambda reach, *_: reach < length, double, (1, terms, decays)
    )
    return terms[:, :-1]
