"""What every adapter is: a few numbers that learn beside weights that do not.

An adapter is made for a policy's tree of weights by role, adds numbers of its
own, and makes another tree of a tree (`wrap`). Off is the tree as it was: the
weights are never written to, so the policy without its adapter is bitwise the
policy before it.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl import catalog
from tf_tokenrl.backbones import linear
from tf_tokenrl.backbones.linear import Entries
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.errors import TokenRLError, unknown


class Adapter(keras.layers.Layer):
    """Numbers that learn, beside a policy's weights, which then do not.

    A map is found by its path, as "layers.3.query" or "encoder.layers.0.up";
    the last part of a path is the role. The policy's heads (its value head,
    and the label head of a policy that labels) are not the model's: of them
    every adapter has a copy that learns.

    Subclasses give `add` and `entries`, and keep every argument of their
    constructor as an attribute of that name.

    Args:
        l1: weight of the sum of distances from the base, in the loss.
        l2: weight of the sum of their squares.
    """

    roles: tuple[str, ...] = ()
    freezes = True  # whether maps and norms of the base are stopped
    mergeable = True  # whether weights exist that do the same
    begins_as_base = True  # whether nothing changes before it has learned
    length = 0  # positions that it takes before every text

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        super().__init__(dtype="float32")
        self.l1 = l1
        self.l2 = l2
        if min(l1, l2) < 0.0:
            raise TokenRLError(
                f"{type(self).__name__}: l1 and l2 must not be negative, got "
                f"{l1} and {l2}."
            )
        self.parts: dict[str, dict[str, Any]] = {}
        self.owned: set[str] = set()
        self.heads: tuple[str, ...] = ()

    # What a method gives.

    def add(self, path: str, leaves: Entries) -> None:
        """Add the numbers of a map, see `number`."""
        raise NotImplementedError(type(self).__name__)

    def entries(self, path: str, entries: Entries) -> Entries:
        """A map's entries with what is added to them."""
        raise NotImplementedError(type(self).__name__)

    def distances(self, path: str, entries: Entries) -> list[tf.Tensor]:
        """What l1 and l2 pull to 0, tensors of any shape."""
        found = {name: self.value(path, name) for name in self.parts[path]}
        if path in self.owned:
            found = {
                name: value
                - tf.stop_gradient(tf.cast(entries[name], "float32"))
                for name, value in found.items()
            }
        return list(found.values())

    def chooses(self, path: str, leaves: Entries) -> bool:
        """Whether it adds something to what stands at a path."""
        return role_of(path) in self.roles

    def begin(self, transformer: Transformer) -> Transformer:
        """A backbone whose weights were wrapped, before it reads."""
        return transformer

    # What all have.

    def attach(
        self, architecture: Any, leaves: dict, heads: Sequence[str]
    ) -> None:
        """Add numbers for a policy.

        Args:
            architecture: of `backbones`.
            leaves: the policy's weights by role, see `linear.Leaf`.
            heads: paths of what is the policy's own and not the model's.

        Raises:
            TokenRLError: there is no map of a role, or no place for it.
        """
        found = dict(walk(leaves))
        maps = {p: entries for p, entries in found.items() if p not in heads}
        there = sorted({role_of(p) for p, e in maps.items() if is_map(e)})
        for role in self.roles:
            if role not in there:
                raise unknown("role", role, there)
        self.heads = tuple(heads)
        with tf.init_scope():
            for path, entries in maps.items():
                if self.chooses(path, entries):
                    self.add(path, entries)
            self.extend(architecture, leaves)
            for path in heads:
                self.own(path, found[path])
        self.built = True

    def extend(self, architecture: Any, leaves: dict) -> None:
        """Add what belongs to no map."""

    def wrap(self, weights: dict) -> dict:
        """Weights by role with what the adapter adds; a part of them, too."""
        wrapped = self._wrapped(weights, "")
        if "embedding" in weights and "rows" in weights.get("logits", {}):
            # Tied before, tied after, where the table itself was changed.
            tied = weights["logits"]["rows"] is weights["embedding"]["table"]
            if tied and "logits" not in self.parts:
                table = wrapped["embedding"]["table"]
                wrapped["logits"] = wrapped["logits"] | {"rows": table}
        return wrapped

    def penalty(self, weights: dict) -> tf.Tensor | float:
        """The pull towards the base, a part of the loss.

            l1 sum |d| + l2 sum d^2

        Args:
            weights: by role, not wrapped.
        """
        total = 0.0
        if not (self.l1 or self.l2):
            return total
        entries = dict(walk(weights))
        for path in self.parts:
            if path in self.heads:
                continue
            for distance in self.distances(path, entries.get(path, {})):
                total += self.l1 * tf.reduce_sum(tf.abs(distance))
                total += self.l2 * tf.reduce_sum(tf.square(distance))
        return total

    def number(
        self,
        path: str,
        name: str,
        shape: Sequence[int],
        initializer: Any = "zeros",
    ) -> None:
        """Add a variable of a map, which `value` reads."""
        variable = self.add_weight(
            name=f"{path}.{name}", shape=shape, initializer=initializer
        )
        self.parts.setdefault(path, {})[name] = variable

    def value(self, path: str, name: str) -> tf.Tensor:
        """A variable's value now."""
        return linear.raw(self.parts[path][name])

    def own(self, path: str, leaves: Entries) -> None:
        """Add copies of a map's own entries, which learn in their place."""
        self.owned.add(path)
        for name, leaf in leaves.items():
            initial = tf.cast(leaf.tensor(), tf.float32)
            self.number(path, name, leaf.shape, lambda *_, x=initial, **__: x)

    def stops(self, path: str) -> bool:
        """Whether what stands at a path gets no gradient of its own."""
        return self.freezes and path not in self.owned

    def numbers(self) -> dict[str, keras.Variable]:
        """All variables, by path and name."""
        return {
            f"{path}.{name}": variable
            for path, part in self.parts.items()
            for name, variable in part.items()
        }

    def __repr__(self) -> str:
        return catalog.expression(self, __package__)

    def _wrapped(self, tree, path: str):
        if path in self.owned:
            return {n: self.value(path, n) for n in self.parts[path]}
        if path in self.parts and isinstance(tree, dict):
            return self.entries(path, tree)
        if isinstance(tree, list):
            return [
                self._wrapped(part, f"{path}.{number}")
                for number, part in enumerate(tree)
            ]
        if not isinstance(tree, dict):
            return tree
        before = f"{path}." if path else ""
        return {n: self._wrapped(part, before + n) for n, part in tree.items()}


def walk(tree: Any, path: str = "") -> Iterator[tuple[str, Entries]]:
    """The entries in a tree of weights, each with its path."""
    if isinstance(tree, list):
        for number, part in enumerate(tree):
            yield from walk(part, f"{path}.{number}")
    elif isinstance(tree, dict):
        inner = all(isinstance(x, dict | list) for x in tree.values())
        if path and not inner:
            yield path, tree
            return
        for name, part in tree.items():
            yield from walk(part, f"{path}.{name}" if path else name)


def role_of(path: str) -> str:
    """ "layers.3.query" -> "query"."""
    return path.rpartition(".")[2]


def is_map(entries: Entries) -> bool:
    """Whether entries are those of a linear map, an embedding's included."""
    return bool({"kernel", "rows", "table"} & set(entries))


def added(entries: Entries, **tensors: tf.Tensor) -> Entries:
    """Entries with more of an adapter's tensors."""
    before = entries.get(linear.ADAPTER, {})
    return {**entries, linear.ADAPTER: {**before, **tensors}}


def widths(leaves: Entries) -> tuple[int, int]:
    """I and O of a map."""
    if "rows" in leaves:
        return leaves["rows"].shape[::-1]
    return leaves["kernel" if "kernel" in leaves else "table"].shape


def seeded(path: str, name: str) -> int:
    """A seed that follows from the name of a variable alone."""
    return zlib.crc32(f"{path}.{name}".encode())


def uniform(path: str, name: str, bound: float):
    """An initializer, the same in every process."""
    return keras.initializers.RandomUniform(-bound, bound, seeded(path, name))


def count(variables: Sequence[keras.Variable]) -> int:
    """How many numbers variables hold."""
    return int(sum(np.prod(v.shape) for v in variables))
