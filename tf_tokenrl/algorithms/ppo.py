"""Proximal policy optimisation: several careful updates per batch."""

import dataclasses
from collections.abc import Mapping

import tensorflow as tf

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
from tf_tokenrl.ops import kl, losses
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.schedules import Schedule

KL_TOLERANCE = 1.5
WHITENINGS = (True, False, "minibatch")


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
        entropy_weight: weight of the entropy bonus, per nat, or a schedule.
        whiten: True brings the advantages of a batch to mean 0 and variance
            1, once; "minibatch" those of each minibatch anew.
        target_kl: the remaining updates of a batch are left out once
            `approximate_kl` exceeds 1.5 times this, in nats per token; None
            never leaves any out.
        samples_per_prompt: adjacent rows that answer one prompt.
        compare: where there are several, take their advantages against each
            other, see `critic_targets`; it helps while the critic knows
            little of a prompt, and once it knows all it adds the noise of
            the other rows.
        normalization: "token" divides the loss of a minibatch by its tokens;
            "constant" by its rows and the policy's limit on new tokens, for
            the exact gradient, see `ops.masking.loss_weights`.

    Source: Schulman et al. (2017), "Proximal Policy Optimization Algorithms",
    eq. 7 and 9; defaults of Ziegler et al. (2019), "Fine-Tuning Language
    Models from Human Preferences".

    Note:
        `approximate_kl` estimates KL(old || new) with k3; the first update
        of a batch sees 0. It is measured before the update that reports it,
        and that update is still taken; Stable-Baselines3, whose 1.5 this is,
        throws it away.
    """

    clip: float = 0.2
    value_clip: float | None = 0.2
    discount: float = 1.0
    trace_decay: float = 0.95
    epochs: int = 4
    minibatches: int = 1
    value_weight: float = 0.1
    entropy_weight: float | Schedule = 0.0
    whiten: bool | str = True
    target_kl: float | None = None
    samples_per_prompt: int = 1
    compare: bool = True
    normalization: str = "token"

    def __post_init__(self):
        self._check_numbers(0, 1, "clip", "discount", "trace_decay")
        self._check_numbers(0, float("inf"), "value_weight")
        self._check_scheduled(0, float("inf"), "entropy_weight")
        self._check_counts("epochs", "minibatches", "samples_per_prompt")
        self._check_choice("whiten", WHITENINGS)
        self._check_choice("normalization", NORMALIZATIONS)
        for option in ("value_clip", "target_kl"):
            if getattr(self, option) is not None:
                self._check_numbers(0, float("inf"), option)

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
        )
        if self.whiten and self.whiten != "minibatch":
            return whitened(targets, rollout.mask)
        return targets

    def minibatch_targets(self, batch: Batch) -> Targets:
        """See `Algorithm.minibatch_targets`."""
        if self.whiten == "minibatch":
            return whitened(batch.targets, batch.rollout.mask)
        return batch.targets

    def enough(self, metrics: Mapping[str, float]) -> bool:
        """See `Algorithm.enough`."""
        if self.target_kl is None:
            return False
        return metrics["approximate_kl"] > KL_TOLERANCE * self.target_kl

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
        return self._with_entropy_bonus(loss, entropy, batch), metrics

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
