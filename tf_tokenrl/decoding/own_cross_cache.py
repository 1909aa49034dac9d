"""An encoder-decoder transformer of known architecture, decoded and read.

The answer's keys and values are those of `own_cache`. Beside them the
cache holds the memory: what each layer needs of the prompt, made once of the
encoder's states. Both are stretches of columns in which rows end alike, so
that rows may come and go. Whole answers are read without padding, and
neighbours that answer one prompt share its memory.
"""

import functools

import tensorflow as tf

from tf_tokenrl.backbones import packing
from tf_tokenrl.backbones.attention import Places, attend
from tf_tokenrl.decoding.loop import Prefill, take
from tf_tokenrl.decoding.own_cache import CachedAttentionDecoder, Past, past_of


class CrossAttentionDecoder(CachedAttentionDecoder):
    """The decoder of an `EncoderDecoderPolicy` of known architecture."""

    def __init__(self, policy, architecture):
        super().__init__(policy, architecture)
        opening = len(policy.answer_start_ids)
        self.last_position = opening + policy.max_new_tokens - 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts, and what the answers begin with."""
        prompts, answers = self.policy.divide(prompt_ids, lengths)
        memory = _remember(self.policy, self.architecture, *prompts)
        ids, lengths = answers
        read = self.read(ids, lengths, past_of(memory))
        return read._replace(cache={"answer": read.cache, "memory": memory})

    def finish(self, layer, x, attended, place, memory):
        """Look at the prompt, then the rest of the layer."""
        return _finish(self.architecture, layer, x, attended, place, memory)

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
    policy, architecture, prompts: tuple, ids: tf.Tensor, lengths: tf.Tensor
) -> tf.Tensor:
    """The decoder's states `[B, L, H]` after each token of some answers.

    Args:
        policy: an `EncoderDecoderPolicy`.
        architecture: that of its backbone.
        prompts: int32 `[B, P]`, padded on the right, and lengths `[B]`.
        ids: int32 `[B, L]`, what opens the answers included.
        lengths: int32 `[B]`, how many of them to read; what stands behind
            means nothing.
    """
    groups, first = packing.equal_neighbours(*prompts)
    read = _remember(policy, architecture, *take(prompts, first))
    memory = past_of(take(read, groups))
    place = Places(lengths, tf.reduce_max(lengths))
    finish = functools.partial(
        _finish, architecture, place=place, memory=memory
    )
    x, *_ = packing.read(architecture, ids, place, finish)
    x = architecture.normalize(x)
    shape = tf.concat([tf.shape(ids), tf.shape(x)[1:]], axis=0)
    return tf.scatter_nd(place.of_tokens, x, shape)


def _remember(policy, architecture, ids, lengths) -> dict:
    """Keys and values of prompts `[B, P]`, which end in the last column."""
    width = tf.reduce_max(lengths)
    ids = ids[:, :width]
    states = policy.encode_states(ids, tf.sequence_mask(lengths))
    source = tf.range(width)[None] - (width - lengths)[:, None]
    states = tf.gather(states, tf.maximum(source, 0), batch_dims=1)
    cache = {"lengths": lengths, "keys": [], "values": []}
    for layer in range(len(architecture.weights["layers"])):
        keys, values = architecture.remember(layer, states)
        cache["keys"].append(tf.transpose(keys, [0, 2, 1, 3]))
        cache["values"].append(tf.transpose(values, [0, 2, 1, 3]))
    return cache


def _finish(architecture, layer, x, attended, place, memory: Past):
    """Look at the prompt, then the rest of the layer."""
    x, query = architecture.ask(layer, x, attended)
    parts = [(memory.keys[layer], memory.values[layer], memory.mask)]
    attended = place.pack(attend(place.spread(query), parts))
    return architecture.finish(layer, x, attended)
