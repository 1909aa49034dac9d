"""What policies that write have in common: the next token is the action."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_tokenrl.decoding.loop import Decoder
from tf_tokenrl.decoding.prefix import Prefix, join_prefix, place_after
from tf_tokenrl.decoding.sampling import Sampling
from tf_tokenrl.decoding.scheduling import decode
from tf_tokenrl.export.reward_model import ServedReward
from tf_tokenrl.export.savedmodel import export
from tf_tokenrl.export.streaming import ServedStream
from tf_tokenrl.flow import Rollout
from tf_tokenrl.policies.base import Policy


class GenerativePolicy(Policy):
    """A policy whose answers are written token by token.

    Subclasses give `text`, `padded_states`, `logits` and `decoder`.
    """

    # Prompts beyond wait until answers are complete. A product of so many rows
    # takes longer to compute than its kernel takes to be read, whatever the
    # width: more rows gain nothing, and fewer lose where lengths are similar.
    slots = 64

    def action_states(self, inputs: dict, training: bool = False) -> tf.Tensor:
        """See `Policy.action_states`; packing gains nothing in training."""
        packs = self.packs and not training
        states = self.answer_states if packs else self.padded_states
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
        """`answer_states` by the model's own forward pass."""
        raise NotImplementedError(type(self).__name__)

    def decoder(self):
        """A fresh `decoding.Decoder` over this policy's weights.

        Where there are `preparations`, it takes what they gave.
        """
        raise NotImplementedError(type(self).__name__)

    def behind_prompt(self, prefix: Prefix) -> Prefix:
        """The prefix as it travels at the end of a prompt."""
        return prefix

    def preparations(self) -> tuple[Callable[[], Any], ...]:
        """What a decoder prepares of the weights, each of one dtype."""
        return ()

    def act(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        capacity: int | None = None,
        slots: tf.Tensor | int | None = None,
        decoder: Decoder | None = None,
    ) -> Rollout:
        """Sample one answer per prompt, see `Policy.act`.

        Args:
            prompt_ids: see there, as for the others.
            prompt_mask: see there.
            seeds: see there.
            sampling: see there.
            capacity: see there.
            slots: the most answers under way at a time, see
                `scheduling.decode`.
            decoder: by default a fresh one.
        """
        rows = tf.shape(prompt_ids)[0]
        lengths = tf.reduce_sum(tf.cast(prompt_mask, tf.int32), axis=-1)
        answers = decode(
            decoder or self.decoder(),
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
        prefix: Prefix,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        slots: tf.Tensor | int | None = None,
    ) -> Rollout:
        """See `Policy.act_after`, and `act` for `slots`."""
        sampling = sampling or self.sampling
        left = tf.maximum(sampling.max_new_tokens - prefix.counts, 0)
        left = tf.where(prefix.ended, 0, left)
        behind = self.behind_prompt(prefix)
        ids, mask = join_prefix(prompt_ids, prompt_mask, behind)
        sampling = sampling._replace(max_new_tokens=left)
        rest = self.act(ids, mask, seeds, sampling, slots=slots)
        rest = rest._replace(prompt_ids=prompt_ids, prompt_mask=prompt_mask)
        return place_after(prefix, rest)

    def served(self) -> tf.Module:
        """See `Policy.served`."""
        return ServedStream(self)

    def export_reward_model(
        self, filepath: str | Path, known: Mapping[str, Any] | None = None
    ) -> None:
        """Write body and value head as a judge of answers.

        Args:
            filepath: `<name>/<version>`, see `export.savedmodel`.
            known: what else the model card shall say.

        Raises:
            TokenRLError: as for `export`, or there are no stop tokens.
        """
        export(self, filepath, known, ServedReward)
