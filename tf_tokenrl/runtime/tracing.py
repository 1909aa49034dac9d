"""Graphs that are traced once, whatever the sizes of what they get."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Collection, Hashable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError

COMPILED = ("scoring", "update")  # what XLA can compile of a trainer's step
_REFUSED = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError)


_switches: dict[int, str] = {}  # of objects that are alive, by identity


def switched(owner: object, position: str | None) -> None:
    """Say how a switch stands that graphs were traced by.

    Python that looks at a switch looks once, when it is traced: a `Graph` is
    therefore traced anew for each position, and takes the old graph again
    when the switch goes back.

    Args:
        owner: whose switch it is; may be called again and again.
        position: None is how all switches stand at first.
    """
    if id(owner) not in _switches:
        weakref.finalize(owner, _switches.pop, id(owner), None)
    _switches[id(owner)] = position or ""


class Graph:
    """A function as one graph per structure of its arguments.

    A structure says which optional tensors are there. Lengths along the axes
    are left open, so longer answers are not traced anew. There is one for
    each position of all switches, see `switched`.

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
        key = repr((specs, sorted(_switches.items())))
        if key not in self._traced:
            function = tf.function(
                self._function, autograph=False, jit_compile=self.jit or None
            )
            self._traced[key] = function.get_concrete_function(*specs)
        return self._traced[key](*arguments)


class TracedOnce:
    """A function traced once for all graphs that call it with such tensors.

        @TracedOnce
        def layer(kind, weights, x): ...

    Thirty layers, sampling, scoring and updates of all policies of a shape
    then share one small graph and its gradient. It is called, and not put in
    the caller's place: else its operations would be optimized at each call.

    Args:
        function: of something hashable, a structure of weights, whose shapes
            are kept, and tensors, whose shapes are left open: of floats all
            axes but the last, and those of heads in rank 3 and 4. It reads
            no variables and no attributes that change.
    """

    def __init__(self, function: Callable):
        functools.update_wrapper(self, function)
        self._function = function
        self._traced: dict[tuple, Callable] = {}

    @tf.autograph.experimental.do_not_convert
    def __call__(self, kind: Hashable, weights: Any, *flowing: Any):
        """The function's result."""
        flowing = tf.nest.map_structure(_as_tensor, flowing)
        kept = tf.nest.map_structure(_spec_of_weight, weights)
        specs = (kept, tf.nest.map_structure(_open_spec, flowing))
        key = (kind, repr(specs))
        if key not in self._traced:
            with tf.init_scope():
                self._traced[key] = self._trace(kind, specs)
        flat = tf.nest.flatten((weights, flowing))
        return self._traced[key](*(x for x in flat if x is not None))

    def _trace(self, kind, specs):
        present = [x is not None for x in tf.nest.flatten(specs)]

        def run(*given):
            rest = iter(given)
            flat = [next(rest) if there else None for there in present]
            weights, flowing = tf.nest.pack_sequence_as(specs, flat)
            return self._function(kind, weights, *flowing)

        function = tf.function(
            run,
            autograph=False,
            experimental_attributes={"_noinline": True},
        )
        flat = [x for x in tf.nest.flatten(specs) if x is not None]
        return function.get_concrete_function(*flat)


def concrete(function: Callable, *specs, **named):
    """A function as the one graph that takes arguments of these kinds."""
    traced = tf.function(function, autograph=False)
    return traced.get_concrete_function(*specs, **named)


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


def _as_tensor(x: Any) -> tf.Tensor | None:
    return None if x is None else tf.convert_to_tensor(x)


def _spec_of_weight(x: tf.Tensor) -> tf.TensorSpec:
    return tf.TensorSpec(x.shape, x.dtype)


def _open_spec(x: tf.Tensor | None) -> tf.TensorSpec | None:
    if x is None:
        return None
    shape = [None] * x.shape.rank
    if x.dtype.is_floating:
        for axis in {2: (1,), 3: (1, 2), 4: (1, 3)}.get(len(shape), ()):
            shape[axis] = x.shape[axis]
    return tf.TensorSpec(shape, x.dtype)
