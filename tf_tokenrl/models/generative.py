"""What policies that write have in common: the next token is the action.

Inside such a policy, and nowhere else, position `t` of an answer is scored by
the hidden state of the token before it.
"""

import functools

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout
from tf_tokenrl.models.answering import decode
from tf_tokenrl.models.given import Given, join_given, place_after
from tf_tokenrl.models.policy import Policy
from tf_tokenrl.models.sampling import Sampling
from tf_tokenrl.models.streaming import ServedStream
from tf_tokenrl.models.text import TextCodec


class GenerativePolicy(Policy):
    """A language model with a value head.

    Subclasses give `hidden_states`, `logits` and `decoder`.

    Args:
        *args: see `Policy`; `max_prompt_tokens` counts the token that opens
            the answer, `max_new_tokens` the stop token.
        prompt_start_id: put before each prompt, or None.
        answer_start_id: put after each prompt to open the answer, or None.
        **kwargs: see `Policy`.
    """

    writes_text = True
    slots = 32  # prompts beyond wait until answers are complete

    def __init__(
        self,
        *args,
        prompt_start_id: int | None = None,
        answer_start_id: int | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        if prompt_start_id is None and answer_start_id is None:
            raise TokenRLError(
                "Give prompt_start_id or answer_start_id: without either an "
                "empty prompt has no token to start from."
            )
        self.prompt_start_id = prompt_start_id
        self.answer_start_id = answer_start_id

    def hidden_states(self, token_ids, padding_mask):
        """`[B, L]` ids, padded on the right -> `[B, L, H]`."""
        raise NotImplementedError(type(self).__name__)

    def decoder(self):
        """A fresh `decoding.Decoder` over this policy's weights."""
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
        )

    def act(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        capacity: int | None = None,
        slots: tf.Tensor | int | None = None,
    ) -> Rollout:
        """Sample one answer per prompt, see `Policy.act`.

        Args:
            prompt_ids: see there, as for the others.
            prompt_mask: see there.
            seeds: see there.
            sampling: see there.
            capacity: see there.
            slots: the most answers under way at a time, see
                `answering.decode`.
        """
        rows = tf.shape(prompt_ids)[0]
        lengths = tf.reduce_sum(tf.cast(prompt_mask, tf.int32), axis=-1)
        answers = decode(
            self.decoder(),
            tf.cast(prompt_ids, tf.int32),
            lengths,
            seeds,
            (sampling or self.sampling).per_row(rows),
            capacity or self.max_new_tokens,
            slots,
        )
        return Rollout(
            prompt_ids,
            prompt_mask,
            answers.actions,
            answers.mask,
            answers.log_probs,
            answers.values,
        )

    def act_after(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        given: Given,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        slots: tf.Tensor | int | None = None,
    ) -> Rollout:
        """See `Policy.act_after`, and `act` for `slots`."""
        sampling = sampling or self.sampling
        left = tf.maximum(sampling.max_new_tokens - given.counts, 0)
        left = tf.where(given.ended, 0, left)
        ids, mask = join_given(prompt_ids, prompt_mask, given)
        sampling = sampling._replace(max_new_tokens=left)
        rest = self.act(ids, mask, seeds, sampling, slots=slots)
        return Rollout(prompt_ids, prompt_mask, *place_after(given, rest[2:6]))

    def action_states(self, inputs: dict, training: bool = False) -> tf.Tensor:
        """See `Policy.action_states`; packing gains nothing in training."""
        states = self.padded_states if training else self.answer_states
        mask = tf.cast(inputs["mask"], tf.int32)
        after = tf.cumsum(mask, axis=1, reverse=True)
        return states(
            tf.cast(inputs["prompt_ids"], tf.int32),
            tf.reduce_sum(tf.cast(inputs["prompt_mask"], tf.int32), -1),
            tf.cast(inputs["actions"], tf.int32),
            tf.reduce_sum(tf.cast(after > 0, tf.int32), -1),
        )

    def answer_states(self, prompt_ids, lengths, actions, counts) -> tf.Tensor:
        """Hidden states from which each token of some answers was chosen.

        Args:
            prompt_ids: int32 `[B, P]`, padded on the right.
            lengths: int32 `[B]`, tokens of each prompt, at least 1.
            actions: int32 `[B, T]`, padded on the right.
            counts: int32 `[B]`, tokens of each answer.

        Returns:
            `[B, T, H]`; what stands behind the end of an answer means
            nothing.
        """
        return self.padded_states(prompt_ids, lengths, actions, counts)

    def padded_states(self, prompt_ids, lengths, actions, counts) -> tf.Tensor:
        """`answer_states` by the model's own forward pass.

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

    def served(self) -> tf.Module:
        """See `Policy.served`."""
        return ServedStream(self)

    def get_config(self):
        config = super().get_config()
        config["prompt_start_id"] = self.prompt_start_id
        config["answer_start_id"] = self.answer_start_id
        return config
