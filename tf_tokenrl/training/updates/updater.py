"""One gradient step: the only place where a loss is reduced."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Rollout
from tf_tokenrl.ops.masking import keep_chosen, loss_weights
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.divergence import score_against
from tf_tokenrl.runtime.tracing import Graph, compiling
from tf_tokenrl.training.rollouts.exploration import SAMPLING
from tf_tokenrl.training.rollouts.sampler import replica_rows, rows_of
from tf_tokenrl.training.updates.kl_loss import KlLoss


class Updater:
    """Takes gradient steps on minibatches under the current strategy.

        loss = sum over all chosen tokens of the global minibatch
               of the algorithm's loss [+ kl_weight * kl_loss], times what
               each token counts
               [+ the same over the tokens of the teacher's answers, whose
               loss is their negative log-likelihood]

    The algorithm says what a token counts, see `Algorithm.loss_weights`: by
    default 1 / the number of tokens. The gradient is summed over accumulation
    steps and replicas, then clipped, then applied: the step does not depend
    on how the rows were split.
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
    ):
        self.policy = policy
        self.algorithm = algorithm
        self.optimizer = optimizer
        self.gradient_clip = gradient_clip
        self.accumulation = accumulation
        self.kl_loss = kl_loss
        self.reference = reference
        self.strategy = tf.distribute.get_strategy()
        self._run = Graph(self._update)

    def compile(self) -> None:
        """Let XLA compile the step, anew for each size that comes along.

        Raises:
            TokenRLError: the policy checkpoints gradients, which it does
                where it reads answers without padding.
        """
        if self.policy.recomputes:
            raise TokenRLError(
                "XLA cannot compile an update with gradient checkpointing: "
                'leave gradient_checkpointing or "update" of jit out.'
            )
        self._run.jit = True
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
        metrics = self.strategy.run(self._replica, args=(batch,))
        return {
            name: self.strategy.experimental_local_results(value)[0]
            for name, value in metrics.items()
        }

    def _replica(self, batch: Batch) -> dict[str, tf.Tensor]:
        """One replica's share of a step; `batch` is the global minibatch."""
        rows = replica_rows(tf.shape(batch.rewards)[0])
        weights = self._weights(batch)
        found = self._sum_of_parts(
            lambda part: self._gradients(batch, weights, part),
            tf.reshape(rows, [self.accumulation, -1]),
        )
        total, gradients = self._sum_over_replicas(found)
        wide = [tf.cast(g, tf.float32) for g in gradients]
        norm = tf.linalg.global_norm(wide)
        if self.gradient_clip > 0:
            gradients = _clip(gradients, self.gradient_clip, norm)
        # Keras sums over the replicas again when it applies gradients.
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            gradients = [g / replicas for g in gradients]
        self.optimizer.apply(gradients)
        return total | {"gradient_norm": norm}

    def _sum_of_parts(self, of_part: Callable, parts: tf.Tensor):
        """The sum of `of_part(rows)`, never two parts at a time.

        Left to themselves all parts would be computed side by side, and
        nothing would be saved.
        """
        first = of_part(parts[0])
        if self.accumulation == 1:
            return first

        def add(number, found):
            more = of_part(parts[number])
            return number + 1, tf.nest.map_structure(tf.add, found, more)

        with tf.control_dependencies(tf.nest.flatten(first)):
            second = tf.identity(1)
        _, found = tf.while_loop(
            lambda number, _: number < self.accumulation,
            add,
            (second, first),
            parallel_iterations=1,
        )
        return found

    def _weights(self, batch: Batch) -> dict[str, tf.Tensor | None]:
        """What each token counts: in the loss, and in a mean of a metric."""
        longest = self.policy.max_new_tokens
        chosen, taught = self.algorithm.loss_weights(batch, longest)
        weights = {
            "chosen": chosen,
            "taught": taught,
            "mean": loss_weights(batch.rollout.mask, "token", longest),
            "taught_mean": None,
        }
        if batch.teacher is not None:
            mask = batch.teacher.mask
            weights["taught_mean"] = loss_weights(mask, "token", longest)
        return weights

    def _gradients(self, batch: Batch, weights, rows):
        """Summed metrics and gradients of some rows, as weighted."""
        batch, weights = _take(batch, rows), rows_of(weights, rows)
        mask, means = batch.rollout.mask, {}
        variables = [v.value for v in self.policy.trainable_variables]
        settings = batch.settings or {}
        sampling = {k: settings[k] for k in SAMPLING if k in settings}
        with tf.GradientTape() as tape:
            scores, exact = self._scores(batch.rollout, sampling)
            per_token, metrics = self.algorithm.loss(batch, scores)
            if self.kl_loss is not None:
                kl = self.kl_loss.per_token(batch.rollout, scores, exact)
                per_token += settings["kl_weight"] * kl
                metrics = metrics | {"kl_loss": kl}
            loss = _sum(per_token, mask, weights["chosen"])
            if batch.teacher is not None:
                nll = -self.policy.score(batch.teacher).log_probs
                taught = batch.teacher.mask
                loss += _sum(nll, taught, weights["taught"])
                mean = _sum(nll, taught, weights["taught_mean"])
                means["imitation_loss"] = mean
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        for name, value in metrics.items():
            means[name] = _sum(value, mask, weights["mean"])
        dense = [tf.convert_to_tensor(g) for g in gradients]
        return means | {"loss": loss}, dense

    def _scores(self, rollout: Rollout, sampling: dict):
        """The policy's scores, and its exact KL where the loss needs it."""
        if self.kl_loss is None or not self.kl_loss.exact:
            return self.policy.score(rollout, **sampling), None
        return score_against(self.policy, self.reference, rollout, **sampling)

    def _sum_over_replicas(self, values):
        if self.strategy.num_replicas_in_sync == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _take(batch: Batch, rows) -> Batch:
    """Some rows of a batch, and the settings, which have no rows."""
    taken = rows_of(batch._replace(settings=None), rows)
    return taken._replace(settings=batch.settings)


def _clip(gradients: list, limit: float, norm: tf.Tensor) -> list:
    """Gradients of a global norm up to `limit`; most need no work at all."""
    return tf.cond(
        norm > limit,
        lambda: [g * tf.cast(limit / norm, g.dtype) for g in gradients],
        lambda: gradients,
    )


def _sum(x: tf.Tensor, mask: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(keep_chosen(x, mask) * keep_chosen(weights, mask))
