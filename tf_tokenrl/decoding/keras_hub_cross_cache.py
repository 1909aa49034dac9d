"""Decoding any KerasHub `Seq2SeqLM` through its `call_decoder_with_cache`.

The prompt is read by the encoder, and what the decoder's layers need of it
stays; the answer has a cache with one index for all rows, as in
`call_with_cache`.
"""

import tensorflow as tf

from tf_tokenrl.decoding.keras_hub_cache import (
    CallWithCacheDecoder,
    begun,
    plain_slice_update,
)
from tf_tokenrl.decoding.loop import Prefill


class CallDecoderWithCacheDecoder(CallWithCacheDecoder):
    """The decoder of a policy whose architecture has no file of its own."""

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read prompts, and the columns that every answer has by now."""
        prompts, answers = self.policy.divide(prompt_ids, lengths)
        ids, lengths = prompts
        present = tf.sequence_mask(lengths, tf.shape(ids)[1], tf.int32)
        answer_ids, answer_lengths = answers
        opening = len(self.policy.answer_start_ids)
        room = opening + capacity - tf.shape(answer_ids)[1]
        padded = tf.pad(answer_ids, [[0, 0], [0, tf.maximum(room, 0)]])
        with plain_slice_update():
            hidden, states, own, memory = self.policy.seq2seq_lm._build_cache(
                ids, present, padded
            )
        cache = {"tensors": own, "memory": (states, present, memory)}
        return begun(answer_ids, answer_lengths, hidden, cache)

    def open(self, cache):
        """See `Decoder.open`."""
        return (cache["column"], cache["memory"]), cache["tensors"]

    def step(self, token_ids, column, past, chunk):
        """Read one token per row at the same column of the cache."""
        columns, (states, present, memory) = past
        with plain_slice_update():
            _, hidden, chunk, _ = (
                self.policy.seq2seq_lm.call_decoder_with_cache(
                    encoder_hidden_states=states,
                    encoder_padding_mask=present,
                    decoder_token_ids=token_ids[:, None],
                    self_attention_cache=chunk,
                    self_attention_cache_update_index=columns[0] + column,
                    cross_attention_cache=memory,
                    cross_attention_cache_update_index=None,
                )
            )
        return hidden[:, 0], chunk
