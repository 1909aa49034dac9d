"""What an algorithm decides: the targets of a batch and the loss per token.

An algorithm is its configuration: a frozen dataclass without state. It never
reduces over tokens, for the trainer alone knows the global token count.
"""

import abc
import numbers

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Rollout, Scores, Targets, Tensor
from tf_tokenrl.ops.masking import keep_chosen, masked_whiten
from tf_tokenrl.ops.returns import (
    carry_forward,
    generalized_advantage_estimation,
)


class Algorithm(abc.ABC):
    """Turns rewards into targets and targets into a loss.

    Attributes:
        epochs: how often the trainer goes through one collected batch.
        minibatches: updates per epoch.
        samples_per_prompt: k adjacent rows answer the same prompt: rows
            `g * k` to `g * k + k - 1` are group `g`.
        entropy_weight: weight of the entropy bonus, per nat.
    """

    epochs: int = 1
    minibatches: int = 1
    samples_per_prompt: int = 1
    entropy_weight: float = 0.0

    @abc.abstractmethod
    def targets(self, rollout: Rollout, rewards: Tensor) -> Targets:
        """Advantages and returns `[B, T]` of one whole global batch.

        Called inside `tf.function`, once per collected batch. `rewards` is
        float32 `[B, T]`.
        """

    @abc.abstractmethod
    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each token `[B, T]`, 0 in masked slots, and metrics.

        Metrics are float32 `[B, T]` too; the trainer averages them over the
        chosen tokens.
        """

    def _with_entropy_bonus(self, loss: Tensor, entropy: Tensor) -> Tensor:
        """loss - entropy_weight * H; a weight of 0 costs no gradient."""
        if not self.entropy_weight:
            return loss
        return loss - self.entropy_weight * entropy

    def _check_numbers(self, low: float, high: float, *options: str) -> None:
        for option in options:
            value = getattr(self, option)
            fits = isinstance(value, numbers.Real) and (
                low <= float(value) <= high
            )
            if isinstance(value, bool) or not fits:
                raise TokenRLError(
                    f"{type(self).__name__}: {option} must be a number from "
                    f"{low:g} to {high:g}, not {value!r}."
                )

    def _check_counts(self, *options: str) -> None:
        for option in options:
            value = getattr(self, option)
            fits = isinstance(value, numbers.Integral) and int(value) >= 1
            if isinstance(value, bool) or not fits:
                raise TokenRLError(
                    f"{type(self).__name__}: {option} must be a whole number "
                    f"from 1 upwards, not {value!r}."
                )


def critic_targets(
    rollout: Rollout,
    rewards: Tensor,
    discount: float,
    trace_decay: float,
    whiten: bool,
    samples_per_prompt: int,
) -> Targets:
    """Targets from a learned critic.

    Advantages by `generalized_advantage_estimation`; returns are advantages
    plus values *before* the advantages are whitened over the batch.

    Where several rows answer one prompt, each row's advantage is taken
    against the mean of the others at its position: what the critic does not
    know of a prompt is common to its answers and cancels. That mean does not
    depend on the row's own actions, so the gradient stays unbiased.
    """
    advantages = generalized_advantage_estimation(
        rewards, rollout.values, rollout.mask, discount, trace_decay
    )
    returns = keep_chosen(advantages + rollout.values, rollout.mask)
    if samples_per_prompt > 1:
        others = mean_of_others(
            carry_forward(advantages, rollout.mask), samples_per_prompt
        )
        advantages = keep_chosen(advantages - others, rollout.mask)
    if whiten:
        advantages = masked_whiten(advantages, rollout.mask)
    return Targets(advantages, returns)


def mean_of_others(x: Tensor, group: Tensor | int) -> Tensor:
    """For each row of `x` `[B, T]` the mean of the other rows of its group.

    Groups are `group` adjacent rows. A row without others gets 0.
    """
    groups = tf.reshape(x, (-1, group, tf.shape(x)[1]))
    others = tf.reduce_sum(groups, axis=1, keepdims=True) - groups
    count = tf.cast(tf.maximum(group - 1, 1), tf.float32)
    return tf.reshape(others / count, tf.shape(x))
