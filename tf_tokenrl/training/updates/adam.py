"""Adam that goes over each weight once."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, one operation for each variable.

        m <- m + (1 - beta_1) (g - m)
        v <- v + (1 - beta_2) (g^2 - v)
        w <- w - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + eps)

    Arguments, slots and numbers are those of Keras, which takes a dozen
    operations, most with a result as large as the variable.

    Source: Kingma and Ba (2015), "Adam: A Method for Stochastic
    Optimization", the order of section 2's last paragraph.

    Note:
        Weights in bfloat16 have slots in float32. Keras computes in the dtype
        of the weights, where beta_2 becomes 1 and nothing ever moves. The
        moved weight is rounded up or down at random, so that its mean is
        right: a step below half the distance of two such numbers (1/256 of
        the weight) would else be lost every time. What is drawn depends on
        the number of the update and of the weight alone.
    """

    def add_variable_from_reference(
        self, reference_variable, name=None, initializer="zeros"
    ):
        """A slot in float32, wherever its variable is."""
        strategy = self._distribution_strategy
        path = reference_variable.path.replace("/", "_")
        with strategy.extended.colocate_vars_with(reference_variable.value):
            return self.add_variable(
                reference_variable.shape,
                initializer,
                "float32",
                name=f"{path}_{name}",
            )

    def update_step(self, gradient, variable, learning_rate):
        """See `keras.optimizers.Optimizer.update_step`."""
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        gradient = tf.convert_to_tensor(gradient)  # an embedding's may be rows
        index = self._get_variable_index(variable)
        slots = [s[index].value for s in (self._momentums, self._velocities)]
        rate = tf.cast(learning_rate, tf.float32)
        if variable.dtype == tf.float32:
            self._step_at_once(gradient, variable, slots, rate)
        else:
            self._step_rounded(gradient, variable, slots, rate, index)

    def _powers(self):
        step = tf.cast(self.iterations + 1, tf.float32)
        return tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)

    def _step_at_once(self, gradient, variable, slots, rate):
        power_1, power_2 = self._powers()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=slots[0].handle,
            v=slots[1].handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _step_rounded(self, gradient, variable, slots, rate, index):
        gradient, (m, v) = tf.cast(gradient, tf.float32), slots
        m.assign_add((gradient - m) * (1.0 - self.beta_1))
        v.assign_add((tf.square(gradient) - v) * (1.0 - self.beta_2))
        power_1, power_2 = self._powers()
        rate *= tf.sqrt(1.0 - power_2) / (1.0 - power_1)
        moved = tf.cast(variable, tf.float32)
        moved -= rate * m / (tf.sqrt(v) + self.epsilon)
        if variable.dtype == tf.bfloat16:
            seed = tf.stack([tf.cast(self.iterations, tf.int32), index])
            moved = rounded_at_random(moved, seed)
        variable.assign(tf.cast(moved, variable.dtype))


def rounded_at_random(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """float32 as bfloat16, up or down at random with the mean `x`.

    Source: Gupta et al. (2015), "Deep Learning with Limited Numerical
    Precision", section 3.
    """
    # bfloat16 is the upper half of float32: a random number added to the
    # lower half carries over as often as that half is large.
    noise = tf.random.stateless_uniform(
        tf.shape(x), seed, 0, 1 << 16, tf.int32, alg="philox"
    )
    upper = tf.bitwise.bitwise_and(tf.bitcast(x, tf.int32) + noise, -(1 << 16))
    near = tf.bitcast(upper, tf.float32)
    return tf.cast(tf.where(tf.math.is_finite(x), near, x), tf.bfloat16)
