"""Policies to which prompt and answer are one text.

Inside such a policy, and nowhere else, position `t` of an answer is scored by
the hidden state of the token before it.
"""

import functools

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.generative import GenerativePolicy
from tf_tokenrl.text.codec import TextCodec


class LanguageModelPolicy(GenerativePolicy):
    """A language model that goes on with the prompt, with a value head.

    Subclasses give `hidden_states`, `logits` and `decoder`.

    Args:
        *args: see `Policy`; `max_prompt_tokens` counts the token that opens
            the answer, `max_new_tokens` the stop token.
        prompt_start_id: put before each prompt, or None.
        answer_start_id: put after each prompt to open the answer, or None.
        **kwargs: see `Policy`.
    """

    writes_text = True

    def __init__(
        self,
        *args,
        prompt_start_id: int | None = None,
        answer_start_id: int | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.prompt_start_id = prompt_start_id
        self.answer_start_id = answer_start_id
        given = (prompt_start_id, answer_start_id, self._empty_id)
        if all(token is None for token in given):
            raise TokenRLError(
                "Give prompt_start_id, answer_start_id or stop_ids: without "
                "any of them an empty prompt has no token to start from."
            )

    @property
    def _empty_id(self) -> int | None:
        """What is read of an empty prompt where nothing is put before it."""
        start = getattr(self.tokenizer, "start_token_id", None)
        return start if start is not None else next(iter(self.stop_ids), None)

    def hidden_states(self, token_ids, padding_mask):
        """`[B, L]` ids, padded on the right -> `[B, L, H]`."""
        raise NotImplementedError(type(self).__name__)

    @functools.cached_property
    def text(self) -> TextCodec:
        """The tokenizer as the served graph runs it."""
        return TextCodec(
            self.tokenizer,
            self.max_prompt_tokens,
            self.max_new_tokens,
            self.stop_ids,
            self.prompt_start_id,
            self.answer_start_id,
            self._empty_id,
            preparation=self.preparation,
        )

    def padded_states(self, prompt_ids, lengths, actions, counts) -> tf.Tensor:
        """See `GenerativePolicy.padded_states`.

        Prompt and answer are joined without a gap, so that every row is
        computed as if it stood alone, whatever its batch is padded to.
        """
        width, columns = tf.shape(prompt_ids)[1], tf.shape(actions)[1]
        place = tf.range(width + columns)[None]
        source = tf.where(
            place < lengths[:, None], place, place - lengths[:, None] + width
        )
        source = tf.minimum(source, width + columns - 1)
        joined = tf.concat([prompt_ids, actions], axis=1)
        joined = tf.gather(joined, source, batch_dims=1)
        present = place < (lengths + counts)[:, None]
        joined = tf.where(present, joined, 0)
        hidden = self.hidden_states(joined, present)
        before = lengths[:, None] - 1 + tf.range(columns)[None]
        return tf.gather(hidden, before, batch_dims=1)

    def get_config(self):
        config = super().get_config()
        config["prompt_start_id"] = self.prompt_start_id
        config["answer_start_id"] = self.answer_start_id
        return config
