"""Advantage actor-critic: a critic replaces most of the sampled return."""

import dataclasses

from tf_tokenrl.algorithms.base import Algorithm, critic_targets
from tf_tokenrl.flow import Batch, Rollout, Scores, Targets, Tensor
from tf_tokenrl.ops.losses import policy_gradient_loss, value_loss
from tf_tokenrl.ops.masking import keep_chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorCritic(Algorithm):
    """One update per batch along the advantages that a critic estimates.

        loss_t = -A_t log p(a_t) + value_weight * (V_t - G_t)^2 / 2
                 - entropy_weight * H_t

    with A by generalised advantage estimation and G = A + V.

    Attributes:
        discount: gamma.
        trace_decay: lambda; 0 trusts the critic, 1 the sampled return.
        value_weight: weight of the critic's loss.
        entropy_weight: weight of the entropy bonus, per nat.
        whiten: bring the advantages of a batch to mean 0 and variance 1.
        samples_per_prompt: adjacent rows that answer one prompt; above 1
            their advantages are taken against each other, see
            `critic_targets`.

    Source: Mnih et al. (2016), "Asynchronous Methods for Deep Reinforcement
    Learning", section 4, without the asynchrony.
    """

    discount: float = 1.0
    trace_decay: float = 0.95
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    whiten: bool = True
    samples_per_prompt: int = 1

    def __post_init__(self):
        self._check_numbers(0, 1, "discount", "trace_decay")
        self._check_numbers(0, float("inf"), "value_weight", "entropy_weight")
        self._check_counts("samples_per_prompt")

    def targets(self, rollout: Rollout, rewards: Tensor) -> Targets:
        """See `Algorithm.targets`."""
        return critic_targets(
            rollout,
            rewards,
            self.discount,
            self.trace_decay,
            self.whiten,
            self.samples_per_prompt,
        )

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`."""
        mask, targets = batch.rollout.mask, batch.targets
        policy = policy_gradient_loss(
            scores.log_probs, targets.advantages, mask
        )
        value = value_loss(scores.values, targets.returns, mask)
        entropy = keep_chosen(scores.entropy, mask)
        loss = policy + self.value_weight * value
        metrics = {
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
        }
        return self._with_entropy_bonus(loss, entropy), metrics
