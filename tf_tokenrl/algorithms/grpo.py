"""GRPO: answers to one prompt are graded against each other."""

import dataclasses

import tensorflow as tf

from tf_tokenrl.algorithms.base import Algorithm
from tf_tokenrl.flow import (
    NO_CONTEXT,
    Batch,
    Context,
    Rollout,
    Scores,
    Targets,
    Tensor,
)
from tf_tokenrl.ops import kl, losses
from tf_tokenrl.ops.groups import group_advantages, hold
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.ops.returns import discounted_returns
from tf_tokenrl.schedules import Schedule

CREDITS = ("answer", "token")
NORMALIZATIONS = ("token", "sequence", "constant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grpo(Algorithm):
    """The clipped loss of PPO on advantages within a group, without a critic.

        A_t    = (R - mean of the group's R) / standard deviation of them
        loss_t = max(-A_t r_t, -A_t clip(r_t, 1 - clip, 1 + clip_high))
                 - entropy_weight * H_t

    where R is what the whole answer earned. The losses of an answer's tokens
    are averaged, then those of the answers.

    Attributes:
        samples_per_prompt: adjacent rows that answer one prompt, at least 2.
        scale: divide by the group's standard deviation; False is Dr. GRPO.
        normalization: "sequence" averages over each answer, then over the
            answers; "token" over all tokens; "constant" sums each answer,
            divides by the policy's limit on new tokens and averages over the
            answers (Dr. GRPO).
        credit: "answer" gives every token of an answer the same advantage;
            "token" compares the returns of the group at each position, for
            rewards per token.
        clip: how far the ratio may usefully move below 1.
        clip_high: how far above 1; None takes `clip`.
        epochs: passes over each batch.
        minibatches: updates per pass.
        discount: gamma of the returns, for credit "token" alone.
        entropy_weight: weight of the entropy bonus, per nat, or a schedule.

    Source: Shao et al. (2024), "DeepSeekMath", section 4.1; Dr. GRPO: Liu et
    al. (2025), "Understanding R1-Zero-Like Training"; `clip_high`: Yu et al.
    (2025), "DAPO".

    Note:
        The KL term of the paper is the trainer's `kl_loss`. The mean includes
        the answer's own R: without `scale` the advantage is that of
        leave-one-out times (k - 1) / k. Division by the deviation makes the
        gradient no longer that of the expected reward.
    """

    samples_per_prompt: int = 4
    scale: bool = True
    normalization: str = "sequence"
    credit: str = "answer"
    clip: float = 0.2
    clip_high: float | None = None
    epochs: int = 1
    minibatches: int = 1
    discount: float = 1.0
    entropy_weight: float | Schedule = 0.0

    def __post_init__(self):
        self._check_numbers(0, 1, "clip", "discount")
        self._check_scheduled(0, float("inf"), "entropy_weight")
        self._check_counts("epochs", "minibatches", "samples_per_prompt")
        self._check_choice("normalization", NORMALIZATIONS)
        self._check_choice("credit", CREDITS)
        if self.clip_high is not None:
            self._check_numbers(0, float("inf"), "clip_high")
        self._check_groups()

    @property
    def sums_forward(self) -> bool:
        """See `Algorithm.sums_forward`."""
        return self.credit == "token"

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """See `Algorithm.targets`; returns are what is compared."""
        mask = rollout.mask
        if self.credit == "answer":
            earned = tf.reduce_sum(
                keep_chosen(rewards, mask), axis=1, keepdims=True
            )
            returns = earned + tf.zeros_like(mask, tf.float32)
        else:
            returns = discounted_returns(rewards, mask, self.discount)
            returns = hold(returns, mask)
        advantages = group_advantages(
            returns, self.samples_per_prompt, self.scale
        )
        return Targets(
            keep_chosen(advantages, mask), keep_chosen(returns, mask)
        )

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`."""
        mask, old = batch.rollout.mask, batch.rollout.log_probs
        policy, ratio_clipped = losses.clipped_surrogate_loss(
            scores.log_probs,
            old,
            batch.targets.advantages,
            mask,
            self.clip,
            self.clip_high,
        )
        entropy = keep_chosen(scores.entropy, mask)
        log_ratio = losses.log_ratio(scores.log_probs, old, mask)
        metrics = {
            "policy_loss": policy,
            "entropy": entropy,
            "approximate_kl": kl.k3(-log_ratio),
            "ratio_clipped": ratio_clipped,
        }
        return self._with_entropy_bonus(policy, entropy, batch), metrics
