"""Off-policy REINFORCE: answers of an earlier version, weighted."""

import dataclasses

import tensorflow as tf

from tf_tokenrl.algorithms.base import Algorithm, whitened
from tf_tokenrl.flow import (
    NO_CONTEXT,
    Batch,
    Context,
    Rollout,
    Scores,
    Targets,
    Tensor,
)
from tf_tokenrl.ops.losses import policy_gradient_loss
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.ops.returns import discounted_returns
from tf_tokenrl.schedules import Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class OffPolicy(Algorithm):
    """REINFORCE on answers that another version of the policy gave.

        loss_t = -w_t A_t log p(a_t),  w_t = min(cap, p(a_t) / p_old(a_t))

    `p_old` is what the answer was drawn from; no gradient passes through w.
    Weights are of tokens and not of whole answers: the product over a long
    answer would go beyond any cap by rounding alone. The cap bounds the
    variance and biases the estimate; the metric `weight_capped` says how many
    tokens it touched.

    Attributes:
        cap: the largest weight.
        discount: gamma of the returns.
        whiten: bring the returns of a batch to mean 0 and variance 1; False
            takes them as they are.
        entropy_weight: weight of the entropy bonus, per nat, or a schedule.

    Source: Ionides (2008), "Truncated Importance Sampling"; per token:
    Munos et al. (2016), "Safe and Efficient Off-Policy Reinforcement
    Learning".
    """

    cap: float = 2.0
    discount: float = 1.0
    whiten: bool = False
    entropy_weight: float | Schedule = 0.0

    def __post_init__(self):
        self._check_numbers(0, 1, "discount")
        self._check_numbers(1, float("inf"), "cap")
        self._check_scheduled(0, float("inf"), "entropy_weight")

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """Returns, whitened if asked; see `Algorithm.targets`."""
        returns = discounted_returns(rewards, rollout.mask, self.discount)
        targets = Targets(returns, returns)
        return whitened(targets, rollout.mask) if self.whiten else targets

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`."""
        mask = batch.rollout.mask
        change = keep_chosen(scores.log_probs - batch.rollout.log_probs, mask)
        ratio = tf.stop_gradient(tf.exp(change))
        weight = tf.minimum(ratio, self.cap)
        policy = policy_gradient_loss(
            scores.log_probs, weight * batch.targets.advantages, mask
        )
        entropy = keep_chosen(scores.entropy, mask)
        metrics = {
            "policy_loss": policy,
            "entropy": entropy,
            "weight": keep_chosen(weight, mask),
            "weight_capped": keep_chosen(
                tf.cast(ratio > self.cap, tf.float32), mask
            ),
        }
        return self._with_entropy_bonus(policy, entropy, batch), metrics
