"""One gradient step, whatever the loss is: sum, all-reduce, clip, apply."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.rollouts.sampler import replica_rows

Sums = dict[str, tf.Tensor]


class GradientStep:
    """Moves a policy along the gradient of a loss over a global minibatch.

    The gradient is summed over accumulation steps and replicas, then clipped,
    then applied: the step does not depend on how the rows were split. It
    holds for every loss that is a sum over rows, so what a row counts must be
    known before the rows are split.

    Args:
        policy: what learns.
        optimizer: a Keras optimizer without clipping of its own.
        gradient_clip: greatest global norm of the summed gradient; 0 is no
            limit.
        accumulation: parts in which the rows of a minibatch are computed.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: keras.optimizers.Optimizer,
        gradient_clip: float,
        accumulation: int,
    ):
        self.policy = policy
        self.optimizer = optimizer
        self.gradient_clip = gradient_clip
        self.accumulation = accumulation
        self.strategy = tf.distribute.get_strategy()

    def __call__(
        self, rows: tf.Tensor, loss_of: Callable[[tf.Tensor], Sums]
    ) -> Sums:
        """Take the step; call it inside `strategy.run`.

        Args:
            rows: number of rows of the global minibatch.
            loss_of: the sums over some rows, given by their numbers: `loss`,
                which is differentiated, and metrics.

        Returns:
            The sums over all rows, and `gradient_norm` before clipping.
        """
        parts = tf.reshape(replica_rows(rows), [self.accumulation, -1])
        found = self.sum_of_parts(
            lambda part: self._with_gradients(loss_of, part), parts
        )
        sums, gradients = self.sum_over_replicas(found)
        wide = [tf.cast(g, tf.float32) for g in gradients]
        norm = tf.linalg.global_norm(wide)
        if self.gradient_clip > 0:
            gradients = _clip(gradients, self.gradient_clip, norm)
        # Keras sums over the replicas again when it applies gradients.
        replicas = self.strategy.num_replicas_in_sync
        if replicas > 1:
            gradients = [g / replicas for g in gradients]
        self.optimizer.apply(gradients)
        return sums | {"gradient_norm": norm}

    def sum_of_parts(self, of_part: Callable, parts: tf.Tensor):
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

    def sum_over_replicas(self, values):
        """The sum of every tensor over all replicas, on each of them."""
        if self.strategy.num_replicas_in_sync == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    def of_all_replicas(self, function: Callable, *arguments) -> Sums:
        """What `function` gives on each replica, all of which give the same."""
        found = self.strategy.run(function, args=arguments)
        return {
            name: self.strategy.experimental_local_results(value)[0]
            for name, value in found.items()
        }

    def _with_gradients(self, loss_of: Callable, rows: tf.Tensor):
        variables = [v.value for v in self.policy.trainable_variables]
        # Every part and replica has its share of what no row causes.
        parts = self.accumulation * self.strategy.num_replicas_in_sync
        with tf.GradientTape() as tape:
            sums = loss_of(rows)
            loss = sums["loss"] + self.policy.penalty() / parts
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        return sums, [tf.convert_to_tensor(g) for g in gradients]


def weighted_sum(x: tf.Tensor, chosen: tf.Tensor, weights: tf.Tensor):
    """The sum of `x * weights` where `chosen`; nothing else is looked at."""
    return tf.reduce_sum(keep_chosen(x, chosen) * keep_chosen(weights, chosen))


def _clip(gradients: list, limit: float, norm: tf.Tensor) -> list:
    """Gradients of a global norm up to `limit`; most need no work at all."""
    return tf.cond(
        norm > limit,
        lambda: [g * tf.cast(limit / norm, g.dtype) for g in gradients],
        lambda: gradients,
    )
