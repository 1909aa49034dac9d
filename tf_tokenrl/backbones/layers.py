"""A layer in each of the passes, as functions that are traced once.

Each is called with what it is the layer of, `Kind`, the layer's weights by
role, its state and what the pass computes once for all layers.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tf_tokenrl.backbones import linear
from tf_tokenrl.backbones.attention import Grid, OnePerRow, Places, attend
from tf_tokenrl.backbones.linear import PREFIX, Weights
from tf_tokenrl.runtime.tracing import TracedOnce


class Kind(NamedTuple):
    """What a layer's functions are and which weights learn.

    Attributes:
        architecture: of `backbones`.
        frozen: True where only what adapters add gets gradients. It is
            stopped inside the function, for a function that is called has
            the gradient of all its arguments or of none.
    """

    architecture: Any
    frozen: bool = False


class Reading(NamedTuple):
    """What a pass over texts computes once.

    Attributes:
        place: where the tokens of the texts stand.
        mask: of `attend`.
        turn: see `rotation`; None where positions enter with the embedding.
    """

    place: Places | Grid
    mask: tf.Tensor
    turn: tuple[tf.Tensor, tf.Tensor] | None


class Packing(NamedTuple):
    """What a pass over prompts and their answers computes once.

    Attributes:
        prompts: of the G groups.
        answers: of the B rows.
        groups: int32 `[B]`, the group of each row.
        masks: of prompts, of answers, and of answers that look at prompts.
        turn: see `Reading`.
    """

    prompts: Places
    answers: Places
    groups: tf.Tensor
    masks: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    turn: tuple[tf.Tensor, tf.Tensor] | None


@TracedOnce
def read_layer(kind, weights, x, once: Reading, memory: tuple | None):
    """A layer of texts that are read in one pass.

    Args:
        kind: a `Kind`.
        weights: of the layer.
        x: `[N, H]`.
        once: of the pass.
        memory: keys, values and mask of other texts that the layer looks at.

    Returns:
        The state after it, keys and values `[B, key heads, P, size]`.
    """
    own, weights = kind.architecture, _learning(kind, weights)
    projected = own.project(weights, x, once.turn)
    q, k, v = (once.place.spread(part) for part in projected)
    attended = attend(q, [*_prefix(weights), (k, v, once.mask)])
    attended = once.place.pack(attended)
    return _rest(own, weights, x, attended, once.place, memory), k, v


@TracedOnce
def packed_layer(kind, weights, x, once: Packing):
    """A layer of prompts and answers: answers look at their prompt, too.

    Args:
        kind: a `Kind`.
        weights: of the layer.
        x: `[N, H]`, the tokens of the prompts and then those of the answers.
        once: of the pass.

    Returns:
        The state after it.
    """
    own, weights = kind.architecture, _learning(kind, weights)
    prompts, answers = once.prompts, once.answers
    sizes = [tf.shape(part.of_tokens)[0] for part in (prompts, answers)]
    projected = own.project(weights, x, once.turn)
    pairs = [tf.split(part, sizes) for part in projected]
    before = _prefix(weights)
    q, k, v = (prompts.spread(asked) for asked, _ in pairs)
    of_prompts = attend(q, [*before, (k, v, once.masks[0])])
    shared = (*(tf.gather(part, once.groups) for part in (k, v)), once.masks[2])
    q, k, v = (answers.spread(answered) for _, answered in pairs)
    of_answers = attend(q, [*before, shared, (k, v, once.masks[1])])
    attended = [prompts.pack(of_prompts), answers.pack(of_answers)]
    return own.finish(weights, x, tf.concat(attended, axis=0))


@TracedOnce
def step_layer(kind, weights, x, turn, past, chunk, memory):
    """A layer of one token of each row.

    Args:
        kind: a `Kind`.
        weights: of the layer, perhaps laid out for few rows.
        x: `[B, H]`.
        turn: see `Reading`.
        past: keys and values that stand still, and their mask.
        chunk: keys and values that grow.
        memory: as for `read_layer`.

    Returns:
        The state after it, and the chunk with the token's keys and values.
    """
    own, place = kind.architecture, OnePerRow()
    q, k, v = own.project(weights, x, turn)
    keys = tf.concat([chunk[0], k[:, :, None]], axis=2)
    values = tf.concat([chunk[1], v[:, :, None]], axis=2)
    parts = [*_prefix(weights), past, (keys, values, None)]
    attended = place.pack(attend(place.spread(q), parts))
    return _rest(own, weights, x, attended, place, memory), keys, values


@TracedOnce
def memory_layer(kind, weights, states, place: Grid):
    """Keys and values `[B, heads, P, size]` of an encoder's states `[N, H]`."""
    weights = _learning(kind, weights)
    found = kind.architecture.remember(weights, states)
    return [place.spread(part) for part in found]


def rotation(weights: dict, positions: tf.Tensor, dtype: str):
    """Cosines and sines `[N, 1, size]` of the positions `[N]` of tokens.

    Returns:
        None for a backbone without rotary positions.

    Source: Su et al. (2021), "RoFormer: Enhanced Transformer with Rotary
    Position Embedding", eq. 34.
    """
    if "frequencies" not in weights:
        return None
    angles = tf.cast(positions, tf.float32)[:, None] * weights["frequencies"]
    angles = tf.concat([angles, angles], axis=-1)[:, None]
    return tf.cast(tf.cos(angles), dtype), tf.cast(tf.sin(angles), dtype)


def _learning(kind: Kind, weights: Weights) -> Weights:
    return linear.frozen(weights) if kind.frozen else weights


def _prefix(weights: Weights) -> list[tuple]:
    """Keys and values before every text, if an adapter gives them."""
    if PREFIX not in weights:
        return []
    keys, values = weights[PREFIX]["keys"], weights[PREFIX]["values"]
    return [(keys, values, None)]


def _rest(own, weights, x, attended, place, memory):
    """The rest of a layer, after attention `[N, heads * size]`."""
    if memory is not None:
        x, query = own.ask(weights, x, attended)
        attended = place.pack(attend(place.spread(query), [memory]))
    return own.finish(weights, x, attended)
