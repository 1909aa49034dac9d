"""Reading prompts with their answers without doing anything twice.

The tokens that are there lie one behind the other, so padding costs nothing
in a product; and neighbours that answer one prompt share it: it is read once.
"""

import tensorflow as tf

from tf_tokenrl.backbones.attention import Grid, Places
from tf_tokenrl.backbones.gradient_checkpointing import recomputed
from tf_tokenrl.backbones.layers import (
    Packing,
    Reading,
    packed_layer,
    read_layer,
)
from tf_tokenrl.backbones.transformer import Transformer


def answer_states(
    transformer: Transformer,
    prompt_ids: tf.Tensor,
    lengths: tf.Tensor,
    actions: tf.Tensor,
    counts: tf.Tensor,
    recomputes: bool = False,
) -> tf.Tensor:
    """Hidden states from which each token of some answers was chosen.

    Args:
        transformer: of a causal backbone.
        prompt_ids: int32 `[B, P]`, padded on the right.
        lengths: int32 `[B]`, tokens of each prompt, at least 1.
        actions: int32 `[B, T]`, padded on the right.
        counts: int32 `[B]`, tokens of each answer.
        recomputes: keep of each layer only what it was given, see
            `gradient_checkpointing`.

    Returns:
        `[B, T, H]`; what stands behind the end of an answer means nothing.
    """
    groups, first = equal_neighbours(prompt_ids, lengths)
    asked = tf.gather(lengths, first)
    read = tf.maximum(counts - 1, 0)  # nothing is chosen after the last token
    prompts = Places.of(asked, tf.reduce_max(asked))
    answers = Places.of(read, tf.reduce_max(read))
    ids = tf.concat(
        [prompts.take(tf.gather(prompt_ids, first)), answers.take(actions)],
        axis=0,
    )
    row, column = tf.unstack(answers.of_tokens, axis=1)
    places = tf.gather(lengths, row) + column
    positions = tf.concat([prompts.positions, places], axis=0)
    positions += transformer.offset
    group = transformer.group
    masks = prompts.causal(group), answers.causal(group)
    once = Packing(
        prompts,
        answers,
        groups,
        (*masks, tf.gather(prompts.present, groups)),
        transformer.rotation(positions),
    )
    x = transformer.embed(ids, positions)
    for weights in transformer.weights["layers"]:
        if recomputes:
            layer = recomputed(packed_layer)
            x = layer(transformer.kind, weights, x, once)
        else:
            x = packed_layer(transformer.kind, weights, x, once)
    x = transformer.normalize(x)
    return tf.gather(x, _before(groups, asked, read, tf.shape(actions)[1]))


def read(
    transformer: Transformer,
    ids: tf.Tensor,
    place: Places | Grid,
    memory: list[tuple] | None = None,
):
    """Read texts in one causal pass.

    Args:
        transformer: of a causal backbone.
        ids: int32 `[B, L]`, padded on the right.
        place: where the tokens of the texts stand.
        memory: keys, values and mask of other texts, for each layer.

    Returns:
        See `run`.
    """
    positions = place.positions + transformer.offset
    x = transformer.embed(place.take(ids), positions)
    return run(transformer, x, place, memory)


def run(
    transformer: Transformer,
    x: tf.Tensor,
    place: Places | Grid,
    memory: list[tuple] | None = None,
):
    """The layers of a causal backbone, of embedded tokens `[N, H]`.

    Returns:
        States `[N, H]` of the tokens, not yet normalised; keys and values
        of each layer, `[B, key heads, L, size]`.
    """
    once = Reading(
        place,
        place.causal(transformer.group),
        transformer.rotation(place.positions + transformer.offset),
    )
    keys, values = [], []
    for number, weights in enumerate(transformer.weights["layers"]):
        looks = None if memory is None else memory[number]
        x, k, v = read_layer(transformer.kind, weights, x, once, looks)
        keys.append(k)
        values.append(v)
    return x, keys, values


def read_padded(
    transformer: Transformer, ids: tf.Tensor, memory: list[tuple] | None = None
) -> tf.Tensor:
    """States `[B, L, H]` of texts `[B, L]`, their padding read like text.

    Nothing has a size that depends on the numbers, as XLA wants it; and what
    is padded on the right changes nothing before it.
    """
    shape = tf.shape(ids)
    x, *_ = read(transformer, ids, Grid(shape), memory)
    x = transformer.normalize(x)
    return tf.reshape(x, [shape[0], shape[1], x.shape[-1]])


def encode(
    transformer: Transformer,
    ids: tf.Tensor,
    present: tf.Tensor,
    segments: tf.Tensor | None = None,
) -> tf.Tensor:
    """States `[B, L, H]` of texts of which every token sees all others.

    Args:
        transformer: of an encoder.
        ids: int32 `[B, L]`.
        present: bool `[B, L]`; what is not is never looked at.
        segments: int32 `[B, L]`, where the encoder has such.
    """
    shape = tf.shape(ids)
    place = Grid(shape)
    if segments is not None:
        segments = place.take(segments)
    x = transformer.embed(place.take(ids), place.positions, segments)
    once = Reading(place, present[:, None, None], None)
    for weights in transformer.weights["layers"]:
        x, *_ = read_layer(transformer.kind, weights, x, once, None)
    return tf.reshape(x, [shape[0], shape[1], x.shape[-1]])


def equal_neighbours(
    ids: tf.Tensor, lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Groups of adjacent rows that are equal.

    Args:
        ids: int32 `[B, P]`.
        lengths: int32 `[B]`; what stands behind means nothing.

    Returns:
        groups: int32 `[B]`, the number of each row's group.
        first: int32 `[G]`, the first row of each group.
    """
    inside = tf.sequence_mask(lengths, tf.shape(ids)[1])
    own = tf.where(inside, ids, 0)
    differs = tf.reduce_any(own[1:] != own[:-1], axis=-1)
    differs |= lengths[1:] != lengths[:-1]
    differs = tf.concat([[True], differs], axis=0)
    groups = tf.cumsum(tf.cast(differs, tf.int32)) - 1
    return groups, tf.cast(tf.where(differs)[:, 0], tf.int32)


def _before(groups, asked, read, columns) -> tf.Tensor:
    """Where the token before each action lies, int32 `[B, T]`."""
    ends = tf.gather(tf.cumsum(asked) - 1, groups)
    begins = tf.reduce_sum(asked) + tf.cumsum(read, exclusive=True)
    place = tf.range(columns)[None]
    index = tf.where(place == 0, ends[:, None], begins[:, None] + place - 1)
    return tf.minimum(index, tf.reduce_sum(asked) + tf.reduce_sum(read) - 1)
