"""Proximal policy optimisation: several careful updates per batch."""

import dataclasses

import tensorflow as tf

from tf_tokenrl.algorithms.base import Algorithm, critic_targets
from tf_tokenrl.flow import Batch, Rollout, Scores, Targets, Tensor
from tf_tokenrl.ops import kl, losses
from tf_tokenrl.ops.masking import keep_chosen


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ppo(Algorithm):
    """Follow the advantages until the ratio to the old policy is clipped.

        loss_t = max(-A_t r_t, -A_t clip(r_t, 1 - clip, 1 + clip))
                 + value_weight * clipped value loss - entropy_weight * H_t

    with A by generalised advantage estimation and G = A + V.

    Attributes:
        clip: how far the ratio may usefully move from 1.
        value_clip: how far a value may usefully move from the old one, in
            units of the return; None does not clip.
        discount: gamma.
        trace_decay: lambda; 0 trusts the critic, 1 the sampled return.
        epochs: passes over each batch.
        minibatches: updates per pass.
        value_weight: weight of the critic's loss.
        entropy_weight: weight of the entropy bonus, per nat.
        whiten: bring the advantages of a batch to mean 0 and variance 1.
        samples_per_prompt: adjacent rows that answer one prompt; above 1
            their advantages are taken against each other, see
            `critic_targets`.

    Source: Schulman et al. (2017), "Proximal Policy Optimization Algorithms",
    eq. 7 and 9; defaults of Ziegler et al. (2019), "Fine-Tuning Language
    Models from Human Preferences".

    Note:
        Advantages are whitened once over the whole batch, not per minibatch.
        `approximate_kl` estimates KL(old || new) with k3; the first update
        of a batch sees 0.
    """

    clip: float = 0.2
    value_clip: float | None = 0.2
    discount: float = 1.0
    trace_decay: float = 0.95
    epochs: int = 4
    minibatches: int = 1
    value_weight: float = 0.1
    entropy_weight: float = 0.0
    whiten: bool = True
    samples_per_prompt: int = 1

    def __post_init__(self):
        self._check_numbers(0, 1, "clip", "discount", "trace_decay")
        self._check_numbers(0, float("inf"), "value_weight", "entropy_weight")
        self._check_counts("epochs", "minibatches", "samples_per_prompt")
        if self.value_clip is not None:
            self._check_numbers(0, float("inf"), "value_clip")

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
        mask, old = batch.rollout.mask, batch.rollout
        policy, ratio_clipped = losses.clipped_surrogate_loss(
            scores.log_probs,
            old.log_probs,
            batch.targets.advantages,
            mask,
            self.clip,
        )
        value, value_clipped = self._value_loss(batch, scores)
        entropy = keep_chosen(scores.entropy, mask)
        log_ratio = losses.log_ratio(scores.log_probs, old.log_probs, mask)
        loss = policy + self.value_weight * value
        metrics = {
            "policy_loss": policy,
            "value_loss": value,
            "entropy": entropy,
            "approximate_kl": kl.k3(-log_ratio),
            "ratio_clipped": ratio_clipped,
            "value_clipped": value_clipped,
        }
        return self._with_entropy_bonus(loss, entropy), metrics

    def _value_loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, Tensor]:
        old, returns = batch.rollout, batch.targets.returns
        if self.value_clip is None:
            loss = losses.value_loss(scores.values, returns, old.mask)
            return loss, tf.zeros_like(loss)
        return losses.clipped_value_loss(
            scores.values, old.values, returns, old.mask, self.value_clip
        )
