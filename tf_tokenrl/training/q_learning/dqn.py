"""DQN's options, and what a critic of Q makes of an answer."""

import dataclasses

from tf_tokenrl.algorithms.base import Algorithm
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
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.ops.returns import generalized_advantage_estimation
from tf_tokenrl.schedules import Schedule
from tf_tokenrl.schedules.linear import Linear


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dqn(Algorithm):
    """Deep Q-learning with a replay buffer, for small vocabularies.

    An update takes `minibatch_size` transitions out of the replay buffer and
    brings Q(s, a), see `q_values`, closer to

        r + discount * Q_target(s', argmax_a' Q(s', a'))      double=True
        r + discount * max_a' Q_target(s', a')                double=False

    under Huber's loss; a terminal s' counts 0. After each update the target
    network moves by `target_rate` towards the network.

    Attributes:
        discount: gamma.
        n_step: rewards that are summed before Q is asked; above 1 they are
            those of answers that the policy would no longer give.
        double: whether the network that learns chooses the next action.
        epsilon: how often a token is drawn uniformly from the vocabulary
            while answers are collected, a number or a schedule; otherwise it
            is the one of the largest Q.
        target_rate: from above 0 to 1.
        updates: per step.
        minibatch_size: transitions per update.
        replay_capacity: tokens that the replay buffer holds; the oldest go.
        dense: whether tokens are rewarded as they come, see
            `TokenEnvironment`; otherwise only the last is.
        largest_vocabulary: a larger one is refused.

    Source: Mnih et al. (2015), "Human-level Control through Deep
    Reinforcement Learning", algorithm 1; van Hasselt et al. (2016), "Deep
    Reinforcement Learning with Double Q-learning", eq. 4.

    Note:
        The target network follows at a rate, as in Lillicrap et al. (2016),
        not by a copy now and then.
    """

    discount: float = 1.0
    n_step: int = 1
    double: bool = True
    epsilon: float | Schedule = Linear(1.0, 0.05, steps=100)
    target_rate: float = 0.05
    updates: int = 4
    minibatch_size: int = 64
    replay_capacity: int = 20_000
    dense: bool = True
    largest_vocabulary: int = 1024

    def __post_init__(self):
        self._check_numbers(0, 1, "discount", "target_rate")
        counts = ("n_step", "updates", "minibatch_size", "replay_capacity")
        self._check_counts(*counts, "largest_vocabulary")
        if self.target_rate == 0:
            raise TokenRLError("Dqn: target_rate must be above 0.")
        if self.replay_capacity <= self.n_step:
            raise TokenRLError(
                f"Dqn: replay_capacity is {self.replay_capacity}, and must be "
                f"above n_step, which is {self.n_step}."
            )
        self._check_scheduled(0, 1, "epsilon")

    @property
    def epochs(self) -> int:  # type: ignore[override]
        """See `Algorithm`: the updates of a step, each on fresh draws."""
        return self.updates

    def exploration(self, step: int) -> float:
        """Epsilon during step `step`, from 0 to 1."""
        if isinstance(self.epsilon, Schedule):
            return min(max(self.epsilon(step), 0.0), 1.0)
        return float(self.epsilon)

    def targets(
        self, rollout: Rollout, rewards: Tensor, context: Context = NO_CONTEXT
    ) -> Targets:
        """Errors of Q along answers, where `values` are max_a Q(s_t, a).

            advantage_t = r_t + discount * V_(t+1) - V_t,   V_end = 0

        They are for the eye: `QTrainer` learns from the replay buffer.
        """
        errors = generalized_advantage_estimation(
            rewards, rollout.values, rollout.mask, self.discount, 0.0
        )
        returns = keep_chosen(errors + rollout.values, rollout.mask)
        return Targets(errors, returns)

    def loss(
        self, batch: Batch, scores: Scores
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Algorithm.loss`; TF-Agents' `DqnAgent` has this one's.

        Raises:
            TokenRLError: always.
        """
        raise TokenRLError(
            "dqn learns from a replay buffer, which this trainer does not "
            "have: use tf_tokenrl.training.q_learning.trainer.QTrainer."
        )
