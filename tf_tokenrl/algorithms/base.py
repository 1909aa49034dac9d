"""What an algorithm decides: the targets of a batch and the loss per token.

An algorithm is its configuration: a frozen dataclass without state. What it
must remember from step to step the trainer keeps for it, in the checkpoint
too. It never reduces over tokens: it says what each token's loss counts, and
`updates/updater.py` sums.
"""

import abc
import functools
import numbers
from collections.abc import Mapping

import numpy as np

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
from tf_tokenrl.ops.masking import keep_chosen, loss_weights, masked_whiten
from tf_tokenrl.ops.returns import (
    generalized_advantage_estimation,
    n_step_advantages,
)
from tf_tokenrl.schedules import Schedule

NORMALIZATIONS = ("token", "constant")


class Algorithm(abc.ABC):
    """Turns rewards into targets and targets into a loss.

    Attributes:
        epochs: how often the trainer goes through one collected batch.
        minibatches: updates per epoch.
        samples_per_prompt: k adjacent rows answer the same prompt: rows
            `g * k` to `g * k + k - 1` are group `g`.
        entropy_weight: weight of the entropy bonus, per nat; a number or a
            `Schedule` over steps. Its gradient holds the states fixed: that a
            token leads to states of more entropy does not count.
        normalization: of the loss of a minibatch, see
            `ops.masking.loss_weights`.
        imitates: whether the batch must hold reference answers.
    """

    epochs: int = 1
    minibatches: int = 1
    samples_per_prompt: int = 1
    entropy_weight: float | Schedule = 0.0
    normalization: str = "token"
    imitates: bool = False

    @property
    def sums_forward(self) -> bool:
        """Whether a token's return is the sum of the rewards from it on.

        Then rewards must not look ahead, see `Reward.looks_ahead`.
        """
        return True

    @property
    def needs_greedy(self) -> bool:
        """Whether `targets` wants greedy answers in its context."""
        return False

    @abc.abstractmethod
    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
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

    # What most algorithms leave as it is.

    def minibatch_targets(self, batch: Batch) -> Targets:
        """The targets of one global minibatch, before it is split."""
        return batch.targets

    def loss_weights(
        self, batch: Batch, longest: int
    ) -> tuple[Tensor, Tensor | None]:
        """What each token's loss counts in that of a global minibatch.

        Args:
            batch: the whole global minibatch.
            longest: the most tokens an answer may have.

        Returns:
            float32 `[B, T]` for the tokens chosen, and the same for those of
            the teacher's answers, None where nothing is imitated.
        """
        mask = batch.rollout.mask
        return loss_weights(mask, self.normalization, longest), None

    def kl_weights(self, batch: Batch, longest: int) -> Tensor | None:
        """What the KL of each token counts, as in `loss_weights`.

        Returns:
            None where it counts as the rest of the token's loss does.
        """
        return None

    def enough(self, metrics: Mapping[str, float]) -> bool:
        """Whether an update with these metrics is the last of its batch."""
        return False

    def settings(self, step: int) -> dict[str, float]:
        """The options that are schedules, as numbers at a step."""
        return {
            name: float(value(step))
            for name, value in vars(self).items()
            if isinstance(value, Schedule)
        }

    def prefix_lengths(
        self, lengths: np.ndarray, step: int
    ) -> np.ndarray | None:
        """How many tokens of each reference begin the answer, int `[B]`.

        Args:
            lengths: int `[B]`, tokens of the references, stop included.
            step: number of the step.

        Returns:
            None where the policy writes its answers alone.
        """
        return None

    def first_memory(self) -> dict[str, float]:
        """What the algorithm remembers before the first step."""
        return {}

    def remember(self, memory: dict[str, float], batch: Batch) -> dict:
        """What it remembers after a batch; the trainer saves it."""
        return memory

    # For the use of subclasses.

    def _with_entropy_bonus(
        self, loss: Tensor, entropy: Tensor, batch: Batch
    ) -> Tensor:
        """loss - entropy_weight * H; a weight of 0 costs no gradient."""
        if not self.entropy_weight:
            return loss
        return loss - self._setting("entropy_weight", batch) * entropy

    def _setting(self, name: str, batch: Batch) -> Tensor | float:
        """An option now: a number, or what its schedule says at this step."""
        return (batch.settings or {}).get(name, getattr(self, name))

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

    def _check_scheduled(self, low: float, high: float, *options: str) -> None:
        """Numbers, or schedules of them."""
        for option in options:
            value = getattr(self, option)
            if not isinstance(value, Schedule):
                self._check_numbers(low, high, option)
            elif value.listens or not low <= value(0) <= high:
                raise TokenRLError(
                    f"{type(self).__name__}: {option} must follow the step "
                    f"alone, from {low:g} to {high:g}, unlike {value!r}."
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

    def _check_groups(self) -> None:
        if self.samples_per_prompt < 2:
            raise TokenRLError(
                f"{type(self).__name__} compares the answers to one prompt: "
                "set samples_per_prompt to 2 or more."
            )

    def _check_choice(self, option: str, choices: tuple) -> None:
        if getattr(self, option) not in choices:
            raise TokenRLError(
                f'{type(self).__name__}: {option} "{getattr(self, option)}" '
                f"is not one of {', '.join(map(str, choices))}."
            )


class Guided(Algorithm):
    """An algorithm that learns from reference answers beside another one.

    The other makes targets and loss of what the policy chose itself. The
    loss of the reference's tokens is their negative log-likelihood, which
    `updates/updater.py` computes.

    Attributes:
        algorithm: the other, or an expression for `algorithms.parse`.
    """

    algorithm: "str | Algorithm" = "reinforce"
    imitates = True

    def __post_init__(self):
        for name in ("epochs", "minibatches", "samples_per_prompt"):
            object.__setattr__(self, name, getattr(self.inner, name))

    @functools.cached_property
    def inner(self) -> Algorithm:
        """The other algorithm."""
        from tf_tokenrl.algorithms import parse

        inner = self.algorithm
        if not isinstance(inner, Algorithm):
            inner = parse(inner)
        if inner.imitates:
            raise TokenRLError(
                f"{type(self).__name__}: algorithm `{self.algorithm}` learns "
                "from reference answers itself; name one that does not."
            )
        return inner

    @property
    def sums_forward(self) -> bool:
        """See `Algorithm.sums_forward`."""
        return self.inner.sums_forward

    @property
    def needs_greedy(self) -> bool:
        """See `Algorithm.needs_greedy`."""
        return self.inner.needs_greedy

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """See `Algorithm.targets`."""
        return self.inner.targets(rollout, rewards, context)

    def minibatch_targets(self, batch: Batch) -> Targets:
        """See `Algorithm.minibatch_targets`."""
        return self.inner.minibatch_targets(batch)

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`."""
        return self.inner.loss(batch, scores)

    def enough(self, metrics: Mapping[str, float]) -> bool:
        """See `Algorithm.enough`."""
        return self.inner.enough(metrics)

    def settings(self, step: int) -> dict[str, float]:
        """See `Algorithm.settings`."""
        return self.inner.settings(step) | super().settings(step)

    def first_memory(self) -> dict[str, float]:
        """See `Algorithm.first_memory`."""
        return self.inner.first_memory()

    def remember(self, memory: dict[str, float], batch: Batch) -> dict:
        """See `Algorithm.remember`."""
        return self.inner.remember(memory, batch)

    def _taught(self, batch: Batch, longest: int) -> Tensor:
        """Weights of a mean over the teacher's tokens `[B, T']`."""
        if batch.teacher is None:
            raise TokenRLError(
                f"{type(self).__name__} needs reference answers in the batch."
            )
        return loss_weights(batch.teacher.mask, "token", longest)


def critic_targets(
    rollout: Rollout,
    rewards: Tensor,
    discount: float,
    trace_decay: float,
    samples_per_prompt: int,
    steps: int | None = None,
) -> Targets:
    """Targets from a learned critic, not whitened.

    Advantages by `n_step_advantages` if `steps` are given, else by
    `generalized_advantage_estimation`; returns are advantages plus values.

    Where several rows answer one prompt, each row's advantage is taken
    against the mean of the others at its position: what the critic does not
    know of a prompt is common to its answers and cancels. That mean does not
    depend on the row's own actions, so the gradient stays unbiased.
    """
    mask = rollout.mask
    if steps is None:
        advantages = generalized_advantage_estimation(
            rewards, rollout.values, mask, discount, trace_decay
        )
    else:
        advantages = n_step_advantages(
            rewards, rollout.values, mask, discount, steps
        )
    returns = keep_chosen(advantages + rollout.values, mask)
    if samples_per_prompt > 1:
        others = mean_of_others(hold(advantages, mask), samples_per_prompt)
        advantages = keep_chosen(advantages - others, mask)
    return Targets(advantages, returns)


def whitened(targets: Targets, mask: Tensor) -> Targets:
    """The same with advantages of mean 0 and variance 1 over all tokens."""
    return targets._replace(advantages=masked_whiten(targets.advantages, mask))
