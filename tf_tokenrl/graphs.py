"""Graphs that are traced once, whatever the sizes of what they get."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


class Graph:
    """A function as one graph per structure of its arguments.

    A structure says which optional tensors are there. Lengths along the axes
    are left open, so longer answers are not traced anew.
    """

    def __init__(self, function: Callable):
        self._function = function
        self._traced: dict[str, Callable] = {}

    def __call__(self, *arguments):
        """The function's result; arguments are NumPy arrays or tensors."""
        specs = tf.nest.map_structure(_spec, arguments)
        key = repr(specs)
        if key not in self._traced:
            function = tf.function(self._function)
            self._traced[key] = function.get_concrete_function(*specs)
        return self._traced[key](*arguments)


def _spec(x):
    if x is None:
        return None
    dtype = tf.as_dtype(x.dtype)
    return tf.TensorSpec([None] * np.ndim(x), dtype)
