"""One gradient step: the only place where a loss is reduced."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.collection import replica_rows
from tf_tokenrl.flow import Batch, Rollout, Targets
from tf_tokenrl.models.policy import Policy

_FLOATS = tf.TensorSpec([None, None], tf.float32)
_IDS = tf.TensorSpec([None, None], tf.int32)
_MASK = tf.TensorSpec([None, None], tf.bool)


class Updater:
    """Takes gradient steps on minibatches under the current strategy.

        loss = sum over all chosen tokens of the global minibatch
               of the algorithm's loss, divided by their number

    The gradient is summed over accumulation steps and replicas, then clipped,
    then applied: the step does not depend on how the rows were split.
    """

    def __init__(
        self,
        policy: Policy,
        algorithm: Algorithm,
        optimizer: keras.optimizers.Optimizer,
        gradient_clip: float,
        accumulation: int,
    ):
        self.policy = policy
        self.algorithm = algorithm
        self.optimizer = optimizer
        self.gradient_clip = gradient_clip
        self.accumulation = accumulation
        self.strategy = tf.distribute.get_strategy()
        self._run: dict[bool, Callable] = {}

    def __call__(self, batch: Batch, rows: np.ndarray) -> dict[str, float]:
        """Learn from the given rows of a batch; returns mean metrics."""
        taken = _take(batch, rows)
        has_reference = batch.rollout.reference_log_probs is not None
        if has_reference not in self._run:
            function = tf.function(self._update)
            self._run[has_reference] = function.get_concrete_function(
                batch_signature(has_reference)
            )
        metrics = self._run[has_reference](taken)
        return {name: float(value) for name, value in metrics.items()}

    def _update(self, batch: Batch) -> dict[str, tf.Tensor]:
        metrics = self.strategy.run(self._replica, args=(batch,))
        return {
            name: self.strategy.experimental_local_results(value)[0]
            for name, value in metrics.items()
        }

    def _replica(self, batch: Batch) -> dict[str, tf.Tensor]:
        count = tf.reduce_sum(tf.cast(batch.rollout.mask, tf.float32))
        rows = replica_rows(tf.shape(batch.rewards)[0])
        parts = tf.reshape(rows, [self.accumulation, -1])
        total, gradients = None, None
        for part in range(self.accumulation):
            metrics, gradient = self._gradients(batch, parts[part], count)
            if gradients is None:
                total, gradients = metrics, gradient
            else:
                total = tf.nest.map_structure(tf.add, total, metrics)
                gradients = [
                    a + b for a, b in zip(gradients, gradient, strict=True)
                ]
        gradients, total = self._sum_over_replicas((gradients, total))
        norm = tf.linalg.global_norm(gradients)
        if self.gradient_clip > 0:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self.gradient_clip, norm
            )
        # Keras sums over the replicas again when it applies gradients.
        replicas = self.strategy.num_replicas_in_sync
        self.optimizer.apply([g / replicas for g in gradients])
        return total | {"gradient_norm": norm}

    def _gradients(self, batch: Batch, rows, count):
        """Summed metrics and gradients of some rows, both over `count`."""
        batch = _take(batch, rows)
        mask = batch.rollout.mask
        variables = [v.value for v in self.policy.trainable_variables]
        with tf.GradientTape() as tape:
            scores = self.policy.score(batch.rollout)
            loss, metrics = self.algorithm.loss(batch, scores)
            loss = _share(loss, mask, count)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        metrics = {k: _share(v, mask, count) for k, v in metrics.items()}
        dense = [tf.convert_to_tensor(g) for g in gradients]
        return metrics | {"loss": loss}, dense

    def _sum_over_replicas(self, values):
        if self.strategy.num_replicas_in_sync == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


def _take(batch: Batch, rows) -> Batch:
    """Some rows of a batch; there may be no reference."""
    return tf.nest.map_structure(
        lambda x: None if x is None else tf.gather(x, rows), batch
    )


def _share(x: tf.Tensor, mask: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.where(mask, x, 0.0)) / count


def batch_signature(has_reference: bool) -> Batch:
    """What `tf.function` must know of a batch, so that it traces once."""
    reference = _FLOATS if has_reference else None
    return Batch(
        Rollout(_IDS, _MASK, _IDS, _MASK, _FLOATS, _FLOATS, reference),
        _FLOATS,
        Targets(_FLOATS, _FLOATS),
    )
