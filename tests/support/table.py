"""A policy that is one table: which token follows which.

It has all that a policy has and is traced in a second, so that every
algorithm can be made to learn something.
"""

import keras
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.decoding.loop import Decoder, Prefill
from tf_tokenrl.policies.language_model import LanguageModelPolicy


@keras.saving.register_keras_serializable(package="tests")
class TablePolicy(LanguageModelPolicy):
    """Logits and value of the next token depend on the last one alone."""

    def __init__(self, tokenizer, **kwargs):
        super().__init__(tokenizer=tokenizer, **kwargs)
        size = tokenizer.vocabulary_size()
        self.table = keras.layers.Embedding(
            size, size, embeddings_initializer="zeros", dtype="float32"
        )
        self.table.build()
        self.value_head.build((None, None, size))
        self.build()

    def hidden_states(self, token_ids, padding_mask):
        return self.table(token_ids)

    def logits(self, hidden):
        return hidden

    def decoder(self):
        return _TableDecoder(self)


class _TableDecoder(Decoder):
    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        last = tf.gather(prompt_ids, lengths - 1, batch_dims=1)
        return Prefill(self.policy.table(last), ())

    def step(self, token_ids, column, past, chunk):
        return self.policy.table(token_ids), chunk


def policy(seed: int = 0, **options) -> TablePolicy:
    """A table of small random numbers."""
    keras.utils.set_random_seed(seed)
    settings = dict(
        tokenizer=tiny.tokenizer(),
        max_prompt_tokens=12,
        max_new_tokens=8,
        stop_ids=(3,),
        answer_start_id=2,
    )
    settings.update(options)
    made = TablePolicy(**settings)
    tiny.roughen(made, seed)
    return made
