"""An encoder-decoder transformer of known architecture, decoded and read.

The answer's keys and values are those of `own_cache`. Beside them the
cache holds the memory: what each layer needs of the prompt, made once of the
encoder's states. Both are stretches of columns in which rows end alike, so
that rows may come and go. Whole answers are read without padding, and
neighbours that answer one prompt share its memory.
"""

import tensorflow as tf

from tf_tokenrl.backbones import packing
from tf_tokenrl.backbones.attention import Grid, Places
from tf_tokenrl.backbones.layers import memory_layer
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.decoding.loop import Prefill, take
from tf_tokenrl.decoding.own_cache import (
    CachedAttentionDecoder,
    by_layer,
    past_of,
)


class CrossAttentionDecoder(CachedAttentionDecoder):
    """The decoder of an `EncoderDecoderPolicy` of known architecture."""

    def __init__(self, policy, transformer, logits):
        super().__init__(policy, transformer, logits)
        opening = len(policy.answer_start_ids)
        self.last_position = opening + policy.max_new_tokens - 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts, and what the answers begin with."""
        prompts, answers = self.policy.divide(prompt_ids, lengths)
        memory = _remember(self.transformer, *prompts)
        ids, lengths = answers
        read = self.read(ids, lengths, past_of(memory))
        return read._replace(cache={"answer": read.cache, "memory": memory})

    def open(self, cache):
        """See `Decoder.open`."""
        past, chunk = super().open(cache["answer"])
        return past._replace(memory=past_of(cache["memory"])), chunk

    def close(self, cache, chunk, steps):
        """See `Decoder.close`."""
        answer = super().close(cache["answer"], chunk, steps)
        return cache | {"answer": answer}

    def keep(self, cache, rows):
        """See `CachedAttentionDecoder.keep`."""
        keep = super().keep
        return {name: keep(part, rows) for name, part in cache.items()}

    def join(self, one, other):
        """See `CachedAttentionDecoder.join`."""
        join = super().join
        return {name: join(part, other[name]) for name, part in one.items()}


def answer_states(
    transformer: Transformer, prompts: tuple, ids: tf.Tensor, lengths: tf.Tensor
) -> tf.Tensor:
    """The decoder's states `[B, L, H]` after each token of some answers.

    Args:
        transformer: the backbone of an `EncoderDecoderPolicy`.
        prompts: int32 `[B, P]`, padded on the right, and lengths `[B]`.
        ids: int32 `[B, L]`, what opens the answers included.
        lengths: int32 `[B]`, how many of them to read; what stands behind
            means nothing.
    """
    groups, first = packing.equal_neighbours(*prompts)
    read = _remember(transformer, *take(prompts, first))
    memory = past_of(take(read, groups))
    place = Places.of(lengths, tf.reduce_max(lengths))
    x, *_ = packing.read(transformer, ids, place, by_layer(memory))
    x = transformer.normalize(x)
    shape = tf.concat([tf.shape(ids), tf.shape(x)[1:]], axis=0)
    return tf.scatter_nd(place.of_tokens, x, shape)


def padded_states(
    transformer: Transformer, ids: tf.Tensor, present: tf.Tensor, answer_ids
) -> tf.Tensor:
    """The same of whole rows: no size depends on numbers, as XLA wants it.

    Args:
        transformer: as for `answer_states`.
        ids: int32 `[B, P]`, the prompts.
        present: bool `[B, P]`.
        answer_ids: int32 `[B, L]`, padded on the right.
    """
    states = packing.encode(transformer.encoder, ids, present)
    mask = present[:, None, None]
    memory = [(*part, mask) for part in _looked_at(transformer, states)]
    return packing.read_padded(transformer, answer_ids, memory)


def _remember(transformer: Transformer, ids, lengths) -> dict:
    """Keys and values of prompts `[B, P]`, which end in the last column."""
    width = tf.reduce_max(lengths)
    present = tf.sequence_mask(lengths, width)
    states = packing.encode(transformer.encoder, ids[:, :width], present)
    source = tf.range(width)[None] - (width - lengths)[:, None]
    states = tf.gather(states, tf.maximum(source, 0), batch_dims=1)
    keys, values = zip(*_looked_at(transformer, states), strict=True)
    return {"lengths": lengths, "keys": list(keys), "values": list(values)}


def _looked_at(transformer: Transformer, states: tf.Tensor) -> list:
    """Keys and values that each layer makes of an encoder's states."""
    place = Grid(tf.shape(states)[:2])
    flat = tf.reshape(states, [-1, states.shape[-1]])
    return [
        memory_layer(transformer.kind, weights, flat, place)
        for weights in transformer.weights["layers"]
    ]
