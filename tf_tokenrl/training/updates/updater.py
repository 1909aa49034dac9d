"""The update of reinforcement learning: an algorithm's loss, summed."""

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Rollout
from tf_tokenrl.ops.masking import loss_weights
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.divergence import score_against
from tf_tokenrl.runtime.tracing import Graph, compiling
from tf_tokenrl.training.rollouts.exploration import sampling
from tf_tokenrl.training.rollouts.sampler import rows_of
from tf_tokenrl.training.updates.gradient_step import (
    GradientStep,
    weighted_sum,
)
from tf_tokenrl.training.updates.kl_loss import KlLoss


class Updater:
    """Takes gradient steps on minibatches under the current strategy.

        loss = sum over all chosen tokens of the global minibatch
               of the algorithm's loss [+ kl_weight * kl_loss], times what
               each token counts
               [+ the same over the tokens of the teacher's answers, whose
               loss is their negative log-likelihood]

    The algorithm says what a token counts, see `Algorithm.loss_weights`: by
    default 1 / the number of tokens. How the rows were split does not
    matter, see `GradientStep`.

    Args:
        policy: what learns.
        algorithm: gives the loss of each token, and what it counts.
        optimizer: see `GradientStep`, as for the next two.
        gradient_clip: see there.
        accumulation: see there.
        kl_loss: adds KL to the reference.
        reference: a frozen policy.
        jit: let XLA compile the step, anew for each size that comes along.

    Raises:
        TokenRLError: `jit`, and the policy checkpoints gradients, which it
            does where it reads answers without padding.
    """

    def __init__(
        self,
        policy: Policy,
        algorithm: Algorithm,
        optimizer: keras.optimizers.Optimizer,
        gradient_clip: float,
        accumulation: int,
        kl_loss: KlLoss | None = None,
        reference: Policy | None = None,
        jit: bool = False,
    ):
        self.policy = policy
        self.algorithm = algorithm
        self.kl_loss = kl_loss
        self.reference = reference
        self._step = GradientStep(
            policy, optimizer, gradient_clip, accumulation
        )
        self._run = Graph(self._update, jit)
        if jit:
            self._check_compiles()

    def _check_compiles(self) -> None:
        """Leave out of the policies what XLA cannot compile, or refuse."""
        if self.policy.recomputes:
            raise TokenRLError(
                "XLA cannot compile an update with gradient checkpointing: "
                'leave gradient_checkpointing or "update" of jit out.'
            )
        for policy in (self.policy, self.reference):
            if policy is not None:
                policy.packs = False

    def __call__(self, batch: Batch, rows: np.ndarray) -> dict[str, float]:
        """Learn from the given rows of a batch; returns mean metrics."""
        with compiling("update"):
            metrics = self._run(_take(batch, rows))
        return {name: float(value) for name, value in metrics.items()}

    def _update(self, batch: Batch) -> dict[str, tf.Tensor]:
        targets = self.algorithm.minibatch_targets(batch)
        batch = batch._replace(targets=targets)
        return self._step.of_all_replicas(self._replica, batch)

    def _replica(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One replica's share of a step; `batch` is the global minibatch."""
        weights = self._weights(batch)
        return self._step(
            tf.shape(batch.rewards)[0],
            lambda rows: self._sums(batch, weights, rows),
        )

    def _weights(self, batch: Batch) -> dict[str, tf.Tensor | None]:
        """What each token counts: in the loss, and in a mean of a metric."""
        longest = self.policy.max_new_tokens
        chosen, taught = self.algorithm.loss_weights(batch, longest)
        weights = {
            "chosen": chosen,
            "kl": self.algorithm.kl_weights(batch, longest),
            "taught": taught,
            "mean": loss_weights(batch.rollout.mask, "token", longest),
            "taught_mean": None,
        }
        if batch.teacher is not None:
            mask = batch.teacher.mask
            weights["taught_mean"] = loss_weights(mask, "token", longest)
        return weights

    def _sums(self, batch: Batch, weights, rows) -> dict[str, tf.Tensor]:
        """The loss and metrics of some rows, as weighted."""
        batch, weights = _take(batch, rows), rows_of(weights, rows)
        mask = batch.rollout.mask
        settings = batch.settings or {}
        scores, exact = self._scores(batch.rollout, sampling(settings))
        per_token, metrics = self.algorithm.loss(batch, scores)
        apart = None
        if self.kl_loss is not None:
            kl = self.kl_loss.per_token(batch.rollout, scores, exact)
            metrics = metrics | {"kl_loss": kl}
            weighted_kl = settings["kl_weight"] * kl
            if weights["kl"] is None:
                per_token += weighted_kl
            else:
                apart = weighted_sum(weighted_kl, mask, weights["kl"])
        sums = {
            name: weighted_sum(value, mask, weights["mean"])
            for name, value in metrics.items()
        }
        loss = weighted_sum(per_token, mask, weights["chosen"])
        if apart is not None:
            loss += apart
        if batch.teacher is not None:
            nll = -self.policy.score(batch.teacher).log_probs
            taught = batch.teacher.mask
            loss += weighted_sum(nll, taught, weights["taught"])
            mean = weighted_sum(nll, taught, weights["taught_mean"])
            sums["imitation_loss"] = mean
        return sums | {"loss": loss}

    def _scores(self, rollout: Rollout, drawn: dict):
        """The policy's scores, and its exact KL where the loss needs it."""
        if self.kl_loss is None or not self.kl_loss.exact:
            return self.policy.score(rollout, **drawn), None
        return score_against(self.policy, self.reference, rollout, **drawn)


def _take(batch: Batch, rows) -> Batch:
    """Some rows of a batch, and the settings, which have no rows."""
    taken = rows_of(batch._replace(settings=None), rows)
    return taken._replace(settings=batch.settings)
