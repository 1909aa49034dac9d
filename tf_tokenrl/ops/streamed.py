"""Log-probs, entropy and exact KL, a piece of the vocabulary at a time.

Nothing larger than `[N, chunk]` is made, forwards or backwards: what is kept
of a state is a handful of sums, and logits are computed again for the
gradient. `ops.categorical` says when this pays.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_tokenrl.flow import Tensor


class Head(NamedTuple):
    """States and the last layer that makes logits of them.

    Attributes:
        states: float `[N, H]`.
        weights: tensors `[V, ...]`, one row for each entry of the vocabulary;
            none where the logits cannot be had by parts.
        logits: `(states, rows of weights) -> float [N, rows]`, after
            temperature.
        learning: how many of the weights, the first ones, get a gradient;
            None is all.
    """

    states: Tensor
    weights: Sequence[Tensor]
    logits: Callable[[Tensor, Sequence[Tensor]], Tensor]
    learning: int | None = None


class Judged(NamedTuple):
    """What a distribution says of an action, float32 `[N]` in nats.

    Attributes:
        log_probs: of the actions.
        entropy: of the distributions.
        divergence: KL from the reference, never below 0, +inf where the
            policy chooses what the reference never would; None without a
            reference.
    """

    log_probs: Tensor
    entropy: Tensor
    divergence: Tensor | None


class Sums(NamedTuple):
    """What is kept of each state, float32 `[N]`; z are its logits.

    Attributes:
        top: the greatest z.
        total: sum of exp(z - top).
        moment: sum of exp(z - top) (z - top).
        chosen: the logit of the action.
        gap: sum of exp(z - top) (z - y), y the logits of the reference.
        top_y: the greatest y.
        total_y: sum of exp(y - top_y).
    """

    top: Tensor
    total: Tensor
    moment: Tensor
    chosen: Tensor
    gap: Tensor
    top_y: Tensor
    total_y: Tensor

    @property
    def log_normalizer(self) -> Tensor:
        """log sum_v exp(z_v)."""
        return self.top + tf.math.log(self.total)

    @property
    def log_normalizer_y(self) -> Tensor:
        """log sum_v exp(y_v)."""
        return self.top_y + tf.math.log(self.total_y)

    @property
    def log_probs(self) -> Tensor:
        """Of the actions."""
        return self.chosen - self.top - tf.math.log(self.total)

    @property
    def entropy(self) -> Tensor:
        """Of the distributions."""
        return tf.math.log(self.total) - self.moment / self.total

    @property
    def divergence(self) -> Tensor:
        """KL from the reference; means nothing where there is none."""
        gap = self.gap / self.total
        return gap - self.log_normalizer + self.log_normalizer_y


def no_sums(head: Head) -> Sums:
    """Those of an empty vocabulary."""
    nothing = tf.zeros_like(head.states[:, 0], tf.float32)
    least = nothing + tf.float32.min
    return Sums(least, nothing, nothing, nothing, nothing, least, nothing)


def forward(
    policy: Head, reference: Head | None, actions: Tensor, chunk: int
) -> Sums:
    """Goes through the vocabulary once.

    Args:
        policy: of the logits z.
        reference: of the logits y, over the same vocabulary, or None.
        actions: int32 `[N]`.
        chunk: entries of the vocabulary at a time.

    Source: the running maximum of Milakov and Gimelshein (2018), "Online
    normalizer calculation for softmax".
    """

    def add(sums, piece):
        z = _logits(policy, piece.rows(policy.weights))
        sums, p = _add_policy(sums, z, piece.place(actions))
        if reference is None:
            return sums
        y = _logits(reference, piece.rows(reference.weights))
        return _add_reference(sums, p, z, y)

    return _each_piece(policy, chunk, add, no_sums(policy))


def backward(
    policy: Head,
    reference: Head | None,
    actions: Tensor,
    chunk: int,
    sums: Sums,
    upstream: Judged,
) -> list[Tensor]:
    """Gradients of the policy's states and of its weights that learn.

        d log p(a) / d z_v = [v = a] - p_v
        d H  / d z_v = - p_v (log p_v + H)
        d KL / d z_v = p_v (log p_v - log q_v - KL)

    Args:
        policy: as for `forward`.
        reference: as for `forward`; gets no gradient.
        actions: int32 `[N]`.
        chunk: as for `forward`.
        sums: what `forward` found.
        upstream: the gradient of each thing judged.
    """
    log_z, entropy = sums.log_normalizer[:, None], sums.entropy[:, None]
    log_y, divergence = sums.log_normalizer_y[:, None], sums.divergence[:, None]
    given = Judged(*(x if x is None else x[:, None] for x in upstream))

    def add(found, piece):
        total, *pieces = found
        rows = piece.rows(policy.weights)
        log_p = _logits(policy, rows) - log_z
        p = tf.exp(log_p)
        factor = given.log_probs + given.entropy * (log_p + entropy)
        if reference is not None:
            y = _logits(reference, piece.rows(reference.weights))
            factor -= given.divergence * (log_p - y + log_y - divergence)
        outer = _add_at(
            -tf.math.multiply_no_nan(factor, p),
            piece.place(actions),
            upstream.log_probs,
        )
        states, *parts = pull_back(policy, rows, outer)
        return (
            total + tf.cast(states, tf.float32),
            *(
                written.write(piece.number, part)
                for written, part in zip(pieces, parts, strict=True)
            ),
        )

    number = _pieces(policy, chunk)
    total, *pieces = _each_piece(
        policy,
        chunk,
        add,
        (
            tf.zeros_like(policy.states, tf.float32),
            *(_room(w, number) for w in policy.weights[: policy.learning]),
        ),
    )
    joined = [
        tf.ensure_shape(piece.concat(), w.shape)
        for piece, w in zip(
            pieces, policy.weights[: policy.learning], strict=True
        )
    ]
    return [tf.cast(total, policy.states.dtype), *joined]


def pull_back(
    head: Head, rows: Sequence[Tensor], outer: Tensor
) -> list[Tensor]:
    """Gradients of states and rows where that of the logits is `outer`."""
    given = [head.states, *rows[: head.learning]]
    rest = rows[len(given) - 1 :]
    with tf.GradientTape() as tape:
        tape.watch(given)
        logits = _logits(head, [*given[1:], *rest])
    return tape.gradient(logits, given, outer, unconnected_gradients="zero")


class _Piece(NamedTuple):
    """Entries `start .. start + size - 1` of the vocabulary."""

    number: Tensor
    start: Tensor
    size: int

    def rows(self, weights: Sequence[Tensor]) -> list[Tensor]:
        return [
            tf.slice(w, [self.start, *(0 for _ in rest)], [self.size, *rest])
            for w, rest in ((w, w.shape[1:]) for w in weights)
        ]

    def place(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each action is in this piece, and where, else 0."""
        place = actions - self.start
        inside = (place >= 0) & (place < self.size)
        return inside, tf.where(inside, place, 0)


def _each_piece(head: Head, chunk: int, add: Callable, found: Any):
    """`found = add(found, piece)` for one piece after the other.

    All but the last have one size, so that one loop serves them.
    """
    entries = int(head.weights[0].shape[0])
    size = min(chunk, entries)
    last = _pieces(head, chunk) - 1

    def step(number, found):
        return number + 1, add(found, _Piece(number, number * size, size))

    _, found = tf.while_loop(
        lambda number, _: number < last,
        step,
        (tf.constant(0), found),
        parallel_iterations=1,
    )
    start = last * size
    return add(found, _Piece(tf.constant(last), start, entries - start))


def _pieces(head: Head, chunk: int) -> int:
    entries = int(head.weights[0].shape[0])
    return -(-entries // min(chunk, entries))


def _room(weights: Tensor, number: int) -> tf.TensorArray:
    """Room for a gradient, piece by piece; they are joined in one copy."""
    shape = [None, *weights.shape[1:]]
    return tf.TensorArray(
        weights.dtype, number, infer_shape=False, element_shape=shape
    )


def _logits(head: Head, rows: Sequence[Tensor]) -> Tensor:
    return tf.cast(head.logits(head.states, rows), tf.float32)


def _add_policy(sums: Sums, z: Tensor, place) -> tuple[Sums, Tensor]:
    """The sums with one more piece, and its exp(z - top)."""
    top = tf.maximum(sums.top, tf.reduce_max(z, axis=1))
    lower = sums.top - top
    kept = tf.exp(lower)
    below = z - top[:, None]
    p = tf.exp(below)
    moment = tf.reduce_sum(tf.math.multiply_no_nan(below, p), axis=1)
    inside, index = place
    chosen = tf.gather(z, index, batch_dims=1)
    sums = sums._replace(
        top=top,
        total=sums.total * kept + tf.reduce_sum(p, axis=1),
        moment=kept * (sums.moment + sums.total * lower) + moment,
        chosen=tf.where(inside, chosen, sums.chosen),
        gap=sums.gap * kept,
    )
    return sums, p


def _add_reference(sums: Sums, p: Tensor, z: Tensor, y: Tensor) -> Sums:
    top = tf.maximum(sums.top_y, tf.reduce_max(y, axis=1))
    total = tf.reduce_sum(tf.exp(y - top[:, None]), axis=1)
    gap = tf.reduce_sum(tf.math.multiply_no_nan(z - y, p), axis=1)
    return sums._replace(
        gap=sums.gap + gap,
        top_y=top,
        total_y=sums.total_y * tf.exp(sums.top_y - top) + total,
    )


def _add_at(x: Tensor, place, values: Tensor) -> Tensor:
    """`x` `[N, size]` with a value added in each row whose action is there."""
    inside, index = place
    rows = tf.range(tf.shape(index)[0])
    return tf.tensor_scatter_nd_add(
        x, tf.stack([rows, index], axis=1), tf.where(inside, values, 0.0)
    )
