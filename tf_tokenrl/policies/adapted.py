"""Policies with adapters: which there are, which is on, and without any."""

import contextlib
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from tf_tokenrl import adapters
from tf_tokenrl.adapters import Adapter
from tf_tokenrl.adapters.base import count, walk
from tf_tokenrl.adapters.shared import adapter_file, merging
from tf_tokenrl.backbones import linear
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.runtime.tracing import switched


class AdaptedPolicy(keras.Model):
    """A model whose weights may be wrapped by an adapter.

    Subclasses have a `value_head` and give `find_backbone`, `longest` and, for
    a model that knows no adapters, nothing else.

    Attributes:
        adapters: by name; all are beside the same weights.
        active: the name of the one that is on, or None.
    """

    parts: tuple[str, ...] = ()  # arguments that Keras revives
    heads: tuple[str, ...] = ("value_head",)  # what is not the model's

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.adapters: dict[str, Adapter] = {}
        self.active: str | None = None

    # What a subclass gives.

    def find_backbone(self) -> Transformer | None:
        """The model as functions and leaves; None where we know none."""
        return None

    def find_ends(self) -> dict:
        """Leaves outside of layers, of a model that we do not know, too."""
        return {}

    # Weights by role.

    @functools.cached_property
    def leaves(self) -> dict:
        """Where all weights by role live, those of the heads included."""
        with tf.init_scope():
            known = self.known.weights if self.known else {}
            value_head = linear.of_layer(self.value_head)
            return self.find_ends() | known | {"value_head": value_head}

    @functools.cached_property
    def known(self) -> Transformer | None:
        """The model as functions and leaves, found once."""
        with tf.init_scope():
            return self.find_backbone()

    def transformer(self) -> Transformer | None:
        """The model as functions and weights of now, adapter included."""
        if self.known is None:
            return None
        weights = linear.values(self.known.weights)
        adapter = self._on()
        if adapter is None:
            return self.known._replace(weights=weights)
        wrapped = adapter.wrap(weights)
        found = self.known._replace(weights=wrapped, frozen=adapter.freezes)
        return adapter.begin(found)

    def map_of(self, path: str, *beside: str) -> linear.Entries:
        """The entries of a map outside of layers, adapter included.

        Args:
            path: of the map.
            *beside: others that it may be tied to.
        """
        weights = {name: self.leaves[name] for name in (path, *beside)}
        weights, adapter = linear.values(weights), self._on()
        return (adapter.wrap(weights) if adapter else weights)[path]

    def stops(self, path: str) -> bool:
        """Whether what stands at a path gets no gradient of its own."""
        adapter = self._on()
        return adapter is not None and adapter.stops(path)

    def penalty(self) -> tf.Tensor | float:
        """What an adapter's pull towards the base adds to a loss."""
        adapter = self._on()
        if adapter is None or not (adapter.l1 or adapter.l2):
            return 0.0
        return adapter.penalty(linear.values(self.leaves))

    # Adapters.

    def add_adapter(self, name: str, adapter: str | Adapter) -> Adapter:
        """Put an adapter on, and hold all other weights still.

        Args:
            name: what it is called from now on.
            adapter: an expression, see `adapters.parse`, or one that has not
                been put on a policy.

        Raises:
            TokenRLError: the name is taken, the model is not known by role,
                or there is no place for what the adapter adds.
        """
        made = adapters.parse(adapter) if isinstance(adapter, str) else adapter
        self._attach(name, made)
        return self._put_on(name, made)

    def put_adapter_on(self, expression: str) -> str:
        """Add an adapter under the first name that is free; return the name.

        Raises:
            TokenRLError: see `add_adapter`.
        """
        taken = (f"adapter_{n}" for n in itertools.count(1))
        name = next(name for name in taken if name not in self.adapters)
        self.add_adapter(name, expression)
        return name

    def save_adapter(self, path: str | Path, name: str | None = None) -> None:
        """Write an adapter alone: its numbers, and a hash of the base.

        Args:
            path: of the file, of the format safetensors.
            name: of the adapter; by default the one that is on.

        Raises:
            TokenRLError: there is no such adapter, or it cannot be written.
        """
        name = self.active if name is None else name
        if self.known is None or name not in self.adapters:
            raise unknown("adapter", str(name), self.adapters)
        adapter_file.save(self.adapters[name], self.known.weights, path)

    def load_adapter(self, path: str | Path, name: str) -> Adapter:
        """Put an adapter on that was written alone.

        Raises:
            TokenRLError: it cannot be read, was made for other weights, or
                does not fit; nothing is changed then.
        """
        known = {} if self.known is None else self.known.weights
        made, arrays = adapter_file.load(known, path)
        self._attach(name, made)
        adapter_file.fill(made, arrays)
        return self._put_on(name, made)

    def merge(self):
        """A policy without adapters that does what this one does.

        This one stays as it is, so nothing ever needs to be taken out again.
        Sums are made in float32 and rounded once.

        Raises:
            TokenRLError: no adapter is on, or no weights do what it does.
        """
        adapter = self._on()
        if adapter is None:
            raise TokenRLError(
                "No adapter is on, so there is nothing to merge: switch to one."
            )
        values = linear.values(self.leaves)
        written = merging.merged(adapter, values, self.leaves)
        config = self.get_config() | {"tokenizer": self.tokenizer}
        del config["adapters"]
        made = type(self).from_config(config)
        for name in self.parts:
            if name != "tokenizer":
                model = getattr(self, name)
                getattr(made, name).set_weights(model.get_weights())
        leaves = dict(walk(made.leaves))
        for path, entries in written.items():
            for name, value in entries.items():
                leaves[path][name].assign(value)
        return made

    def _put_on(self, name: str, made: Adapter) -> Adapter:
        with _open(self):
            self.adapters[name] = made
        self.switch(name)
        return made

    def _attach(self, name: str, made: Adapter) -> None:
        """Give an adapter its place.

        Raises:
            TokenRLError: see `add_adapter`.
        """
        if name in self.adapters or not name or made.parts:
            raise TokenRLError(
                f'Cannot add adapter "{name}": give each adapter a name and '
                "an object of its own."
            )
        if self.known is None:
            raise TokenRLError(
                f"Adapters need a model whose layers are known, such as GPT-2, "
                f"Llama, BART or BERT; this {type(self).__name__} has another."
            )
        self._check_room(made.length)
        made.attach(self.known.architecture, self.leaves, self.heads)

    def switch(self, name: str | None) -> None:
        """Put the adapter of a name on, or none.

        A `tf.function` of the caller's keeps the adapter that was on when it
        was traced; the library's `Graph` is traced for each.

        Raises:
            TokenRLError: there is no such adapter.
        """
        if name is not None and name not in self.adapters:
            raise unknown("adapter", name, self.adapters)
        self.active = name
        switched(self, name)
        for layer in self._flatten_layers(include_self=False, recursive=False):
            layer.trainable = not self.adapters
        for other, adapter in self.adapters.items():
            adapter.trainable = other == name
        # What `fit` and `evaluate` traced was of another set of weights.
        self.train_function = self.test_function = None
        self.predict_function = None

    @contextlib.contextmanager
    def adapter(self, name: str | None) -> Iterator["AdaptedPolicy"]:
        """Within it another adapter is on, or none.

        with policy.adapter("cheerful"):
            rollout = policy.act(...)

        Raises:
            TokenRLError: there is no such adapter.
        """
        before = self.active
        self.switch(name)
        try:
            yield self
        finally:
            self.switch(before)

    def reference(self):
        """This policy with its adapters off: a policy over the same weights.

        Nothing is copied, and it is bitwise what the policy was before it had
        an adapter. Without adapters it is a frozen copy.
        """
        if not self.adapters:
            return self.frozen_copy()
        made = self._beside()
        made.trainable = False
        return made

    def frozen_copy(self):
        """An equal policy whose weights will not change.

        Of one with adapters only these are copied: the rest stands still.
        """
        if self.adapters:
            made = self._beside(self.adapters)
            made.switch(self.active)
        else:
            # A tokenizer's configuration has no vocabulary, so it is shared.
            config = self.get_config() | {"tokenizer": self.tokenizer}
            made = type(self).from_config(config)
            made.set_weights(self.get_weights())
        made.trainable = False
        return made

    def report(self) -> dict[str, int]:
        """How many numbers learn, and how many there are."""
        learn = count(self.trainable_variables)
        everything = count(self.weights)
        return {"trainable": learn, "parameters": everything}

    def _beside(self, named: dict[str, Adapter] | None = None):
        """A policy that holds the same model, with copies of some adapters."""
        config = self.get_config() | {n: getattr(self, n) for n in self.parts}
        config.pop("adapters", None)
        made = type(self).from_config(config)
        for head in self.heads:
            head = {"logits": "label_head"}.get(head, head)
            with _open(made):
                delattr(made, head)  # else Keras would track both
                setattr(made, head, getattr(self, head))
        for name, adapter in (named or {}).items():
            copy = made.add_adapter(name, repr(adapter))
            copy.set_weights(adapter.get_weights())
        return made

    def _on(self) -> Adapter | None:
        return None if self.active is None else self.adapters[self.active]

    def _check_room(self, length: int) -> None:
        """Refuse an adapter that takes positions which texts need.

        Raises:
            TokenRLError: it does.
        """
        table = self.leaves.get("positions", {}).get("table")
        most = self.longest + length
        if length and table is not None and most > table.shape[0]:
            raise TokenRLError(
                f"The model has {table.shape[0]} positions, too few for texts "
                f"of {self.longest} tokens behind {length} of an adapter: "
                "lower max_prompt_tokens, max_new_tokens or its length."
            )

    @property
    def longest(self) -> int:
        """Tokens that are read as one text, at most."""
        return self.max_prompt_tokens + self.max_new_tokens

    def get_config(self):
        config = super().get_config()
        if self.adapters:
            named = {name: repr(a) for name, a in self.adapters.items()}
            config["adapters"] = {"named": named, "active": self.active}
        return config

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        kept = config.pop("adapters", None)
        revive = keras.saving.deserialize_keras_object
        given = {k: config[k] for k in cls.parts if isinstance(config[k], dict)}
        made = cls(**config | {k: revive(v) for k, v in given.items()})
        if kept:
            for name, expression in kept["named"].items():
                made.add_adapter(name, expression)
            made.switch(kept["active"])
        return made


@contextlib.contextmanager
def _open(model: keras.Model) -> Iterator[None]:
    """Let a model that is built have more layers, as `enable_lora` does."""
    model._tracker.unlock()
    try:
        yield
    finally:
        model._tracker.lock()
