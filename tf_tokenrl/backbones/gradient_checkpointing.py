"""Layers of which a gradient step keeps nothing but what they were given."""

import copy
from collections.abc import Callable

import tensorflow as tf


def recomputed(
    function: Callable, architecture, layer: int, x: tf.Tensor
) -> tf.Tensor:
    """`function(architecture, layer, x)`, computed again for the gradient.

    Nothing of the layer but x is kept from the forward pass; its gradient
    costs one more forward pass. The second pass waits for the gradient of
    what comes after it, else all layers would be there again at once.

    Args:
        function: reads the architecture's weights of that layer alone.
        architecture: of `backbones`.
        layer: its number.
        x: the state before it.

    Source: Chen et al. (2016), "Training Deep Nets with Sublinear Memory
    Cost", section 4; a layer is a segment. `tf.recompute_grad` gives no
    gradient to tensors that a function closes over, and the kernels are such.
    """
    kept = architecture.weights["layers"][layer]

    @tf.custom_gradient
    def run(x, *weights):
        own = copy.copy(architecture)
        own.weights = {
            "layers": {layer: tf.nest.pack_sequence_as(kept, weights)}
        }

        def gradient(upstream, variables=()):
            with tf.control_dependencies([upstream]):
                given = [tf.identity(x), *weights]
            with tf.GradientTape() as tape:
                tape.watch(given)
                y = function(own, layer, given[0])
            found = tape.gradient(y, [*given, *variables], upstream)
            return found[: len(given)], found[len(given) :]

        return function(own, layer, x), gradient

    return run(x, *tf.nest.flatten(kept))
