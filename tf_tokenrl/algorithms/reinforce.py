"""REINFORCE: Monte-Carlo policy gradient with a choice of baseline."""

import dataclasses

import tensorflow as tf

from tf_tokenrl.algorithms.base import Algorithm, mean_of_others
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Rollout, Scores, Targets, Tensor
from tf_tokenrl.ops.losses import policy_gradient_loss, value_loss
from tf_tokenrl.ops.masking import keep_chosen, masked_whiten
from tf_tokenrl.ops.returns import carry_forward, discounted_returns

BASELINES = ("none", "mean", "leave_one_out", "value")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reinforce(Algorithm):
    """Raise the probability of actions in proportion to what followed them.

        loss_t = -(G_t - b_t) log p(a_t) - entropy_weight * H_t
                 [+ value_weight * (V_t - G_t)^2 / 2]

    No baseline here depends on the row's own actions, so none biases the
    gradient; they differ in variance.

    Attributes:
        discount: gamma of the returns G.
        baseline: what b is.
            "none": 0.
            "mean": the mean return of the batch's other rows at position t.
            "leave_one_out": the same within the group of rows that answer
            one prompt (RLOO).
            "value": the critic's value, which is then learned as well.
        samples_per_prompt: k, at least 2 for "leave_one_out".
        value_weight: weight of the critic's loss, for "value" alone.
        entropy_weight: weight of the entropy bonus, per nat.
        whiten: bring the advantages of a batch to mean 0 and variance 1.

    Source: Williams (1992), "Simple Statistical Gradient-Following Algorithms
    for Connectionist Reinforcement Learning"; leave-one-out: Kool et al.
    (2019), "Buy 4 REINFORCE Samples, Get a Baseline for Free!", and Ahmadian
    et al. (2024), "Back to Basics".

    Note:
        A row that ended before t counts in the baselines with the return of
        its last token. With one reward at the end and no discount this is
        the leave-one-out of the papers exactly, which compares whole rows;
        with rewards along the way it compares like with like.
    """

    discount: float = 1.0
    baseline: str = "mean"
    samples_per_prompt: int = 1
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    whiten: bool = False

    def __post_init__(self):
        self._check_numbers(0, 1, "discount")
        self._check_numbers(0, float("inf"), "value_weight", "entropy_weight")
        self._check_counts("samples_per_prompt")
        if self.baseline not in BASELINES:
            raise TokenRLError(
                f'Reinforce: baseline "{self.baseline}" is not one of '
                f"{', '.join(BASELINES)}."
            )
        if self.baseline == "leave_one_out" and self.samples_per_prompt < 2:
            raise TokenRLError(
                'Reinforce: baseline "leave_one_out" compares the answers to '
                "one prompt; set samples_per_prompt to 2 or more."
            )

    def targets(self, rollout: Rollout, rewards: Tensor) -> Targets:
        """Returns, and returns minus baseline; see `Algorithm.targets`."""
        returns = discounted_returns(rewards, rollout.mask, self.discount)
        advantages = keep_chosen(
            returns - self._baseline(rollout, returns), rollout.mask
        )
        if self.whiten:
            advantages = masked_whiten(advantages, rollout.mask)
        return Targets(advantages, returns)

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`."""
        mask, targets = batch.rollout.mask, batch.targets
        policy = policy_gradient_loss(
            scores.log_probs, targets.advantages, mask
        )
        entropy = keep_chosen(scores.entropy, mask)
        metrics = {"policy_loss": policy, "entropy": entropy}
        loss = self._with_entropy_bonus(policy, entropy)
        if self.baseline == "value":
            value = value_loss(scores.values, targets.returns, mask)
            loss += self.value_weight * value
            metrics["value_loss"] = value
        return loss, metrics

    def _baseline(self, rollout: Rollout, returns: Tensor) -> Tensor:
        if self.baseline == "none":
            return tf.zeros_like(returns)
        if self.baseline == "value":
            return keep_chosen(rollout.values, rollout.mask)
        group = self.samples_per_prompt
        if self.baseline == "mean":
            group = tf.shape(returns)[0]
        elif (returns.shape[0] or 0) % group:
            raise TokenRLError(
                f"Reinforce: a batch of {returns.shape[0]} rows cannot be "
                f"split into groups of samples_per_prompt = {group}."
            )
        return mean_of_others(carry_forward(returns, rollout.mask), group)
