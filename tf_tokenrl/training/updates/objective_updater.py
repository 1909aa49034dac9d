"""The update of learning from data: an objective's terms, summed."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.policies.base import Policy
from tf_tokenrl.runtime.tracing import Graph, compiling
from tf_tokenrl.training.objectives.base import Objective, Terms
from tf_tokenrl.training.rollouts.sampler import replica_rows, rows_of
from tf_tokenrl.training.rows import Rows
from tf_tokenrl.training.updates.gradient_step import (
    GradientStep,
    weighted_sum,
)


class ObjectiveUpdater:
    """Takes gradient steps on batches of rows under the current strategy.

    Args:
        policy: what learns.
        objective: see there.
        optimizer: see `GradientStep`.
        reference: a frozen policy, or None.
        gradient_clip: see `GradientStep`.
        accumulation: see `GradientStep`.
    """

    def __init__(
        self,
        policy: Policy,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        reference: Policy | None,
        gradient_clip: float,
        accumulation: int,
    ):
        self.policy = policy
        self.objective = objective
        self.reference = reference
        self._step = GradientStep(
            policy, optimizer, gradient_clip, accumulation
        )
        replicas = self._step.strategy.num_replicas_in_sync
        self.multiple = replicas * accumulation
        self._learn = Graph(
            lambda batch: self._step.of_all_replicas(self._replica, batch)
        )
        self._measure = Graph(self._figures)

    def compile(self) -> None:
        """Let XLA compile the step, anew for each length of rows."""
        self._learn.jit = True

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, float]:
        """Learn from a global batch; returns its figures."""
        with compiling("update"):
            figures = self._learn(dict(batch))
        return {name: float(value) for name, value in figures.items()}

    def measure(
        self, rows: Rows, batches: Sequence[np.ndarray]
    ) -> dict[str, float]:
        """The figures over all of some rows; nothing is learned."""
        sums: dict[str, np.ndarray] = {}
        for taken in batches:
            found = self._measure(rows.batch(taken, 1))
            for name, pair in found.items():
                sums[name] = sums.get(name, 0.0) + pair.numpy().astype(float)
        return {
            name: float(value / count) if count else float("nan")
            for name, (value, count) in sums.items()
        }

    def _figures(self, batch) -> Terms:
        """Sum of values and sum of counts by name, `[2]` each."""
        counts = self.objective.counts(batch)
        seen = self._means(self._looked(batch, counts))
        terms = self._terms(batch, seen)
        return self._sums(terms, counts)

    def _replica(self, batch) -> Terms:
        """One replica's share of a step; `batch` is the global one."""
        counts = self.objective.counts(batch)
        shares = {
            name: tf.math.divide_no_nan(count, tf.reduce_sum(count))
            for name, count in counts.items()
        }
        rows = tf.shape(batch["present"])[0]
        seen = self._seen(batch, counts, rows)

        def loss_of(part: tf.Tensor) -> Terms:
            terms = self._terms(rows_of(batch, part), seen)
            mine = rows_of(shares, part)
            return {
                name: weighted_sum(value, mine[name] != 0.0, mine[name])
                for name, value in terms.items()
            }

        return self._step(rows, loss_of)

    def _seen(self, batch, counts: Terms, rows: tf.Tensor) -> Terms:
        """Means over the whole global batch, from every replica's share."""
        if type(self.objective).look is Objective.look:
            return {}
        mine = replica_rows(rows)
        looked = self._looked(rows_of(batch, mine), rows_of(counts, mine))
        return self._means(self._step.sum_over_replicas(looked))

    def _looked(self, batch, counts: Terms) -> Terms:
        values = self.objective.look(self.policy, batch, self.reference)
        return self._sums(values or {}, counts)

    def _terms(self, batch, seen: Terms) -> Terms:
        return self.objective.terms(self.policy, batch, self.reference, seen)

    def _sums(self, values: Terms, counts: Terms) -> Terms:
        return {
            name: tf.stack(
                [
                    weighted_sum(value, counts[name] != 0.0, counts[name]),
                    tf.reduce_sum(counts[name]),
                ]
            )
            for name, value in values.items()
        }

    def _means(self, sums: Terms) -> Terms:
        return {
            name: tf.stop_gradient(tf.math.divide_no_nan(pair[0], pair[1]))
            for name, pair in sums.items()
        }
