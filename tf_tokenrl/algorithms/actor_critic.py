"""Advantage actor-critic: a critic replaces most of the sampled return."""

import dataclasses

from tf_tokenrl.algorithms.base import (
    NORMALIZATIONS,
    Algorithm,
    critic_targets,
    whitened,
)
from tf_tokenrl.flow import (
    NO_CONTEXT,
    Batch,
    Context,
    Rollout,
    Scores,
    Targets,
    Tensor,
)
from tf_tokenrl.ops.losses import policy_gradient_loss, value_loss
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.schedules import Schedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActorCritic(Algorithm):
    """One update per batch along the advantages that a critic estimates.

        loss_t = -A_t log p(a_t) + value_weight * (V_t - G_t)^2 / 2
                 - entropy_weight * H_t

    with A by generalised advantage estimation, or from the rewards of the
    next n tokens and the critic's value after them, and G = A + V.

    Attributes:
        discount: gamma.
        trace_decay: lambda; 0 trusts the critic, 1 the sampled return.
        steps: n, which then replaces `trace_decay`; None does not.
        value_weight: weight of the critic's loss.
        entropy_weight: weight of the entropy bonus, per nat, or a schedule.
        whiten: bring the advantages of a batch to mean 0 and variance 1.
        samples_per_prompt: adjacent rows that answer one prompt.
        compare: where there are several, take their advantages against each
            other, see `critic_targets`; it helps while the critic knows
            little of a prompt, and once it knows all it adds the noise of
            the other rows.
        normalization: "token" divides the loss of a minibatch by its tokens;
            "constant" by its rows and the policy's limit on new tokens, for
            the exact gradient, see `ops.masking.loss_weights`.

    Source: Mnih et al. (2016), "Asynchronous Methods for Deep Reinforcement
    Learning", section 4, without the asynchrony.
    """

    discount: float = 1.0
    trace_decay: float = 0.95
    steps: int | None = None
    value_weight: float = 0.5
    entropy_weight: float | Schedule = 0.0
    whiten: bool = True
    samples_per_prompt: int = 1
    compare: bool = True
    normalization: str = "token"

    def __post_init__(self):
        self._check_numbers(0, 1, "discount", "trace_decay")
        self._check_numbers(0, float("inf"), "value_weight")
        self._check_scheduled(0, float("inf"), "entropy_weight")
        self._check_counts("samples_per_prompt")
        self._check_choice("normalization", NORMALIZATIONS)
        if self.steps is not None:
            self._check_counts("steps")

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """See `Algorithm.targets`."""
        targets = critic_targets(
            rollout,
            rewards,
            self.discount,
            self.trace_decay,
            self.samples_per_prompt if self.compare else 1,
            self.steps,
        )
        return whitened(targets, rollout.mask) if self.whiten else targets

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
        return self._with_entropy_bonus(loss, entropy, batch), metrics
