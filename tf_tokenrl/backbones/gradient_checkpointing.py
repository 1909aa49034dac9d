"""Layers of which a gradient step keeps nothing but what they were given."""

from collections.abc import Callable

import tensorflow as tf


def recomputed(layer: Callable) -> Callable:
    """A layer's function that is computed again for its gradient.

    Nothing of the layer but its state is kept from the forward pass; its
    gradient costs one more forward pass. The second pass waits for the
    gradient of what comes after it, else all layers would be there again at
    once.

    Args:
        layer: a function of a `Kind`, weights, a state and what the pass
            computes once; of `layers`.

    Source: Chen et al. (2016), "Training Deep Nets with Sublinear Memory
    Cost", section 4; a layer is a segment.
    """

    def run(kind, weights: dict, x: tf.Tensor, once) -> tf.Tensor:
        # Only x and the weights are arguments: `once` has no gradient.
        def function(x, *flat):
            given = tf.nest.pack_sequence_as(weights, flat)
            return layer(kind, given, x, once)

        return tf.recompute_grad(function)(x, *tf.nest.flatten(weights))

    return run
