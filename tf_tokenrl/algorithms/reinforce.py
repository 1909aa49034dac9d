"""REINFORCE: Monte-Carlo policy gradient with a choice of baseline."""

import dataclasses

import tensorflow as tf

from tf_tokenrl.algorithms.base import NORMALIZATIONS, Algorithm, whitened
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import (
    NO_CONTEXT,
    Batch,
    Context,
    Rollout,
    Scores,
    Targets,
    Tensor,
)
from tf_tokenrl.ops.groups import hold, mean_of_others
from tf_tokenrl.ops.losses import policy_gradient_loss, value_loss
from tf_tokenrl.ops.masking import keep_chosen, masked_mean
from tf_tokenrl.ops.returns import discounted_returns
from tf_tokenrl.schedules import Schedule

BASELINES = (
    "none",
    "moving_mean",
    "self_critical",
    "mean",
    "leave_one_out",
    "value",
)


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
            "moving_mean": the exponentially weighted mean of the mean
            returns of past steps; 0 in the first step.
            "self_critical": the return of the greedy answer to the same
            prompt at position t.
            "mean": the mean return of the batch's other rows at position t.
            "leave_one_out": the same within the group of rows that answer
            one prompt (RLOO).
            "value": the critic's value, which is then learned as well.
        decay: of the moving mean, what the past keeps at each step.
        samples_per_prompt: k, at least 2 for "leave_one_out".
        value_weight: weight of the critic's loss, for "value" alone.
        entropy_weight: weight of the entropy bonus, per nat, or a schedule.
        whiten: bring the advantages of a batch to mean 0 and variance 1.
        normalization: "token" divides the loss of a minibatch by its tokens;
            "constant" by its rows and the policy's limit on new tokens, for
            the exact gradient, see `ops.masking.loss_weights`.

    Source: Williams (1992), "Simple Statistical Gradient-Following Algorithms
    for Connectionist Reinforcement Learning"; self-critical: Rennie et al.
    (2017), "Self-Critical Sequence Training for Image Captioning", eq. 9;
    leave-one-out: Kool et al. (2019), "Buy 4 REINFORCE Samples, Get a
    Baseline for Free!", and Ahmadian et al. (2024), "Back to Basics".

    Note:
        A row that ended before t counts in the baselines with the return of
        its last token. With one reward at the end and no discount this is
        the baseline of the papers exactly, which compares whole rows; with
        rewards along the way it compares like with like.
    """

    discount: float = 1.0
    baseline: str = "mean"
    decay: float = 0.9
    samples_per_prompt: int = 1
    value_weight: float = 0.5
    entropy_weight: float | Schedule = 0.0
    whiten: bool = False
    normalization: str = "token"

    def __post_init__(self):
        self._check_numbers(0, 1, "discount", "decay")
        self._check_numbers(0, float("inf"), "value_weight")
        self._check_scheduled(0, float("inf"), "entropy_weight")
        self._check_counts("samples_per_prompt")
        self._check_choice("baseline", BASELINES)
        self._check_choice("normalization", NORMALIZATIONS)
        if self.baseline == "leave_one_out" and self.samples_per_prompt < 2:
            raise TokenRLError(
                'Reinforce: baseline "leave_one_out" compares the answers to '
                "one prompt; set samples_per_prompt to 2 or more."
            )

    @property
    def needs_greedy(self) -> bool:
        """See `Algorithm`."""
        return self.baseline == "self_critical"

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """Returns, and returns minus baseline; see `Algorithm.targets`."""
        mask = rollout.mask
        returns = discounted_returns(rewards, mask, self.discount)
        baseline = self._baseline(rollout, returns, context)
        advantages = keep_chosen(returns - baseline, mask)
        targets = Targets(advantages, returns)
        return whitened(targets, mask) if self.whiten else targets

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
        loss = self._with_entropy_bonus(policy, entropy, batch)
        if self.baseline == "value":
            value = value_loss(scores.values, targets.returns, mask)
            loss += self.value_weight * value
            metrics["value_loss"] = value
        return loss, metrics

    def first_memory(self) -> dict[str, float]:
        """See `Algorithm.first_memory`."""
        if self.baseline != "moving_mean":
            return {}
        return {"return_sum": 0.0, "return_weight": 0.0}

    def remember(self, memory: dict[str, float], batch: Batch) -> dict:
        """Sum and weight of the mean returns, both decayed alike.

        Their quotient needs no correction for having begun at 0.
        """
        # Where all tokens were dictated, as in MIXER's first steps, no return
        # was earned: that is not a return of 0.
        if self.baseline != "moving_mean" or not batch.rollout.mask.any():
            return memory
        mean = masked_mean(batch.targets.returns, batch.rollout.mask)
        total = self.decay * memory["return_sum"] + float(mean)
        return {
            "return_sum": total,
            "return_weight": self.decay * memory["return_weight"] + 1.0,
        }

    def _baseline(
        self, rollout: Rollout, returns: Tensor, context: Context
    ) -> Tensor:
        if self.baseline == "none":
            return tf.zeros_like(returns)
        if self.baseline == "moving_mean":
            return _moving_mean(context) * tf.ones_like(returns)
        if self.baseline == "self_critical":
            return self._greedy_returns(returns, context)
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
        return mean_of_others(hold(returns, rollout.mask), group)

    def _greedy_returns(self, returns: Tensor, context: Context) -> Tensor:
        """What the greedy answers earned from each position of the rows on."""
        if context.greedy_mask is None or context.greedy_rewards is None:
            raise TokenRLError(
                'Reinforce: baseline "self_critical" needs the greedy answers '
                "to the same prompts: give them in the context."
            )
        mask = tf.convert_to_tensor(context.greedy_mask)
        greedy = discounted_returns(context.greedy_rewards, mask, self.discount)
        greedy = hold(greedy, mask)
        columns = tf.range(tf.shape(returns)[1])
        last = tf.shape(greedy)[1] - 1
        return tf.gather(greedy, tf.minimum(columns, last), axis=1)


def _moving_mean(context: Context) -> Tensor:
    memory = context.memory or {"return_sum": 0.0, "return_weight": 0.0}
    return tf.math.divide_no_nan(
        tf.cast(memory["return_sum"], tf.float32),
        tf.cast(memory["return_weight"], tf.float32),
    )
