"""Graphs that are traced once, whatever the sizes of what they get."""

import contextlib
from collections.abc import Callable, Collection, Iterator

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError

COMPILED = ("scoring", "update")  # what XLA can compile of a trainer's step
_REFUSED = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


class Graph:
    """A function as one graph per structure of its arguments.

    A structure says which optional tensors are there. Lengths along the axes
    are left open, so longer answers are not traced anew.

    Args:
        function: of tensors.
        jit: whether XLA compiles it, anew for each length that comes along.
    """

    def __init__(self, function: Callable, jit: bool = False):
        self.jit = jit
        self._function = function
        self._traced: dict[str, Callable] = {}

    def __call__(self, *arguments):
        """The function's result; arguments are NumPy arrays or tensors."""
        specs = tf.nest.map_structure(_spec, arguments)
        key = repr(specs)
        if key not in self._traced:
            function = tf.function(self._function, jit_compile=self.jit or None)
            self._traced[key] = function.get_concrete_function(*specs)
        return self._traced[key](*arguments)


def check_stages(stages: Collection[str], strategy) -> None:
    """Refuse stages that XLA cannot compile.

    Raises:
        TokenRLError: there is one, or the strategy has several replicas.
    """
    if stages and strategy.num_replicas_in_sync > 1:
        raise TokenRLError(
            "XLA cannot compile what several replicas add up: leave jit out, "
            "or choose a strategy with one."
        )
    for stage in stages:
        if stage not in COMPILED:
            raise TokenRLError(
                f'XLA cannot compile "{stage}": of a trainer\'s step jit may '
                f"name {' and '.join(COMPILED)}; sampling has a cache that "
                "grows from token to token."
            )


@contextlib.contextmanager
def compiling(stage: str) -> Iterator[None]:
    """Say in one sentence that XLA could not compile what runs in here.

    Raises:
        TokenRLError: that it could not.
    """
    try:
        yield
    except _REFUSED as error:
        if "XLA" not in error.message:
            raise
        reason = error.message.strip().split("\n")[0]
        raise TokenRLError(
            f"XLA cannot compile the {stage} of this policy ({reason}): leave "
            f'"{stage}" out of jit.'
        ) from error


def in_numpy(structure):
    """The same structure with NumPy arrays; what is None stays None."""
    return tf.nest.map_structure(
        lambda x: None if x is None else np.asarray(x), structure
    )


def _spec(x):
    if x is None:
        return None
    dtype = tf.as_dtype(x.dtype)
    return tf.TensorSpec([None] * np.ndim(x), dtype)
