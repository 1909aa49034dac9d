"""Decoding an encoder-decoder transformer with a cache of our own.

The answer's keys and values are those of `cached_attention`. Beside them the
cache holds the memory: what each layer needs of the prompt, made once of the
encoder's states. Both are stretches of columns in which rows end alike, so
that rows may come and go.
"""

import tensorflow as tf

from tf_tokenrl.models.attention import attend
from tf_tokenrl.models.cached_attention import CachedAttentionDecoder, past_of
from tf_tokenrl.models.decoding import Prefill


class CrossAttentionDecoder(CachedAttentionDecoder):
    """The decoder of an `EncoderDecoderPolicy` of known architecture."""

    def __init__(self, policy, architecture):
        super().__init__(policy, architecture)
        opening = len(policy.answer_start_ids)
        self.last_position = opening + policy.max_new_tokens - 1

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts, and what the answers begin with."""
        prompts, answers = self.policy.divide(prompt_ids, lengths)
        memory = self._remember(*prompts)
        ids, lengths = answers
        read = self.read(ids, lengths, past_of(memory))
        return read._replace(cache={"answer": read.cache, "memory": memory})

    def finish(self, layer, x, attended, place, memory):
        """Look at the prompt, then the rest of the layer."""
        x, query = self.architecture.ask(layer, x, attended)
        parts = [(memory.keys[layer], memory.values[layer], memory.mask)]
        attended = place.pack(attend(place.spread(query), parts))
        return self.architecture.finish(layer, x, attended)

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

    def _remember(self, ids: tf.Tensor, lengths: tf.Tensor) -> dict:
        """Keys and values of prompts `[B, P]`, which end in the last column."""
        width = tf.reduce_max(lengths)
        ids = ids[:, :width]
        states = self.policy.encode_states(ids, tf.sequence_mask(lengths))
        source = tf.range(width)[None] - (width - lengths)[:, None]
        states = tf.gather(states, tf.maximum(source, 0), batch_dims=1)
        cache = {"lengths": lengths, "keys": [], "values": []}
        for layer in self.layers:
            keys, values = self.architecture.remember(layer, states)
            cache["keys"].append(tf.transpose(keys, [0, 2, 1, 3]))
            cache["values"].append(tf.transpose(values, [0, 2, 1, 3]))
        return cache
