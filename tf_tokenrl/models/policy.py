"""What every policy is: a Keras model that chooses tokens and judges states.

    encode -> act -> decode      text to answers
    call                         log-probs, values and entropy of given answers

Inside a policy, and nowhere else, position `t` of an answer is scored by the
hidden state of the token before it.
"""

import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Response, Rollout, Scores, Tensor
from tf_tokenrl.models import divergence
from tf_tokenrl.models.decoding import Decoded, decode
from tf_tokenrl.models.export import export
from tf_tokenrl.models.given import Given, join_given, place_after
from tf_tokenrl.models.sampling import Sampling, mix_uniform
from tf_tokenrl.models.text import TextCodec
from tf_tokenrl.ops import categorical


class Policy(keras.Model):
    """A language model with a value head.

    Subclasses give `hidden_states`, `logits` and `decoder`; this class does
    the rest.

    Args:
        tokenizer: a `keras_hub` tokenizer.
        max_prompt_tokens: the longest prompt, the token that opens the
            answer included.
        max_new_tokens: the longest answer, its stop token included.
        temperature: of sampling and of every log-prob that is trained on.
        stop_ids: tokens that end an answer.
        prompt_start_id: put before each prompt, or None.
        answer_start_id: put after each prompt to open the answer, or None.
    """

    def __init__(
        self,
        tokenizer,
        max_prompt_tokens: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        stop_ids: tuple[int, ...] = (),
        prompt_start_id: int | None = None,
        answer_start_id: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if temperature <= 0.0:
            raise TokenRLError(
                f"temperature is {temperature}, but a policy that learns must "
                "sample: give a temperature above 0."
            )
        if min(max_prompt_tokens, max_new_tokens) < 1:
            raise TokenRLError(
                "max_prompt_tokens and max_new_tokens must be at least 1, got "
                f"{max_prompt_tokens} and {max_new_tokens}."
            )
        if prompt_start_id is None and answer_start_id is None:
            raise TokenRLError(
                "Give prompt_start_id or answer_start_id: without either an "
                "empty prompt has no token to start from."
            )
        self.tokenizer = tokenizer
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.stop_ids = tuple(int(i) for i in stop_ids)
        self.prompt_start_id = prompt_start_id
        self.answer_start_id = answer_start_id
        self.value_head = keras.layers.Dense(
            1, kernel_initializer="zeros", dtype="float32", name="value_head"
        )
        self.nll = keras.metrics.Mean(name="nll")

    # What a subclass gives.

    def hidden_states(self, token_ids, padding_mask):
        """`[B, L]` ids, padded on the right -> `[B, L, H]`."""
        raise NotImplementedError(type(self).__name__)

    def logits(self, hidden):
        """`[..., H]` -> float32 `[..., V]`, before temperature."""
        raise NotImplementedError(type(self).__name__)

    def decoder(self):
        """A fresh `decoding.Decoder` over this policy's weights."""
        raise NotImplementedError(type(self).__name__)

    # Text to tokens and back.

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

    def encode(self, prompts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Prompts as int32 ids and bool mask `[B, P]`, padded on the right.

        Raises:
            TokenRLError: a prompt is longer than `max_prompt_tokens`.
        """
        return self.text.encode_prompts(prompts)

    def encode_pairs(self, prompts: list[str], answers: list[str]) -> Rollout:
        """Given answers as if the policy had chosen them, stop included.

        Raises:
            TokenRLError: a prompt or an answer is too long.
        """
        prompt_ids, prompt_mask = self.encode(prompts)
        actions, mask = self.text.encode_answers(answers)
        zeros = np.zeros(actions.shape, np.float32)
        return Rollout(prompt_ids, prompt_mask, actions, mask, zeros, zeros)

    def decode(self, rollout: Rollout) -> list[Response]:
        """The answers of a rollout as text, with each token's characters."""
        return self.text.decode(
            np.asarray(rollout.actions), np.asarray(rollout.mask)
        )

    # Acting.

    @property
    def sampling(self) -> Sampling:
        """How this policy samples when it learns."""
        return Sampling(self.temperature, 0, 1.0, self.max_new_tokens)

    def act(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        capacity: int | None = None,
    ) -> Rollout:
        """Sample one answer per prompt; call it inside a `tf.function`.

        Args:
            prompt_ids: int32 `[B, P]`, padded on the right.
            prompt_mask: bool `[B, P]`.
            seeds: int64 `[B, 2]`; a row's answer depends on its own seed and
                prompt alone (see `sampling.row_seeds`).
            sampling: numbers or `[B]` tensors; by default this policy's own.
            capacity: T; by default the policy's `max_new_tokens`.

        Returns:
            A `Rollout` with log-probs (nats) under exactly the distribution
            sampled from.
        """
        rows = tf.shape(prompt_ids)[0]
        lengths = tf.reduce_sum(tf.cast(prompt_mask, tf.int32), axis=-1)
        answers: Decoded = decode(
            self.decoder(),
            tf.cast(prompt_ids, tf.int32),
            lengths,
            seeds,
            (sampling or self.sampling).per_row(rows),
            list(self.stop_ids),
            capacity or self.max_new_tokens,
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
    ) -> Rollout:
        """Sample the rest of answers whose first tokens are given.

        Args:
            prompt_ids: int32 `[B, P]`, padded on the right.
            prompt_mask: bool `[B, P]`.
            given: the first tokens of each answer.
            seeds: int64 `[B, 2]`, as for `act`.
            sampling: as for `act`; the limit is that of the whole answer.

        Returns:
            A `Rollout` of whole answers `[B, T]`. The given tokens stand in
            `actions` with the mask False; log-probs and values there are 0.
        """
        sampling = sampling or self.sampling
        left = tf.maximum(sampling.max_new_tokens - given.counts, 0)
        left = tf.where(given.ended, 0, left)
        ids, mask = join_given(prompt_ids, prompt_mask, given)
        rest = self.act(
            ids, mask, seeds, sampling._replace(max_new_tokens=left)
        )
        return Rollout(prompt_ids, prompt_mask, *place_after(given, rest[2:6]))

    # Scoring.

    def call(
        self,
        inputs: dict,
        training: bool = False,
        temperature: Tensor | None = None,
        uniform: Tensor | None = None,
        reference: "Policy | None" = None,
    ) -> dict:
        """Log-probs, values and entropy `[B, T]` of the actions given.

        Log-probs and entropy are 0 in masked slots.

        Args:
            inputs: `prompt_ids`, `prompt_mask` `[B, P]`, `actions` and
                `mask` `[B, T]`.
            training: ignored, so that dropout never makes the ratio of new
                to old probabilities differ from 1 by itself.
            temperature: of the distributions; by default the policy's own.
            uniform: share of the uniform distribution mixed in; None mixes
                nothing, see `Sampling`.
            reference: adds `divergence`, see `divergence.score_against`.
        """
        hidden = self._hidden_before_actions(inputs)
        chosen = tf.where(inputs["mask"])  # only these need the output layer
        logits = self.logits(tf.gather_nd(hidden, chosen))
        if temperature is None:
            temperature = self.temperature
        if uniform is not None:
            logits = tf.cast(logits, tf.float32) / temperature
            log_probs = tf.nn.log_softmax(logits)
            logits = mix_uniform(log_probs, uniform, tf.shape(logits)[-1])
            temperature = 1.0
        actions = tf.gather_nd(tf.cast(inputs["actions"], tf.int32), chosen)

        def placed(values):
            shape = tf.shape(inputs["mask"], tf.int64)
            return tf.scatter_nd(chosen, values, shape)

        found = {
            "log_probs": placed(
                categorical.log_probs(logits, actions, temperature)
            ),
            "values": self.state_values(hidden),
            "entropy": placed(categorical.entropy(logits, temperature)),
        }
        if reference is not None:
            theirs = reference._hidden_before_actions(inputs)
            states = tf.gather_nd(hidden, chosen), tf.gather_nd(theirs, chosen)
            kl = divergence.exact((self, reference), states, temperature)
            found["divergence"] = placed(kl)
        return found

    def score(
        self,
        rollout: Rollout,
        temperature: Tensor | None = None,
        uniform: Tensor | None = None,
    ) -> Scores:
        """`Scores` of a rollout's actions, with gradients.

        Args:
            rollout: whose prompts, actions and mask count.
            temperature: of the distributions; by default the policy's own.
            uniform: share of the uniform distribution mixed in, see `call`.
        """
        scores = self(
            {
                "prompt_ids": rollout.prompt_ids,
                "prompt_mask": rollout.prompt_mask,
                "actions": rollout.actions,
                "mask": rollout.mask,
            },
            temperature=temperature,
            uniform=uniform,
        )
        return Scores(scores["log_probs"], scores["values"], scores["entropy"])

    def state_values(self, hidden: tf.Tensor) -> tf.Tensor:
        """The critic's value of each state: `[..., H]` -> float32 `[...]`."""
        return self.value_head(tf.cast(hidden, tf.float32))[..., 0]

    def _hidden_before_actions(self, inputs: dict) -> tf.Tensor:
        """Hidden states `[B, T, H]` from which each action was chosen.

        Prompt and answer are joined without a gap, so that every row is
        computed as if it stood alone, whatever its batch is padded to.
        """
        prompt_ids = tf.cast(inputs["prompt_ids"], tf.int32)
        actions = tf.cast(inputs["actions"], tf.int32)
        width, columns = tf.shape(prompt_ids)[1], tf.shape(actions)[1]
        lengths = tf.reduce_sum(tf.cast(inputs["prompt_mask"], tf.int32), -1)
        answer = tf.reverse(
            tf.cumsum(
                tf.reverse(tf.cast(inputs["mask"], tf.int32), [1]), axis=1
            ),
            [1],
        )
        totals = lengths + tf.reduce_sum(tf.cast(answer > 0, tf.int32), -1)
        place = tf.range(width + columns)[None]
        source = tf.where(
            place < lengths[:, None], place, place - lengths[:, None] + width
        )
        source = tf.minimum(source, width + columns - 1)
        joined = tf.concat([prompt_ids, actions], axis=1)
        joined = tf.gather(joined, source, batch_dims=1)
        present = place < totals[:, None]
        joined = tf.where(present, joined, 0)
        hidden = self.hidden_states(joined, present)
        before = lengths[:, None] - 1 + tf.range(columns)[None]
        return tf.gather(hidden, before, batch_dims=1)

    # Maximum likelihood with `fit`.

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """Negative log-likelihood of given tokens, nats per token.

            loss = -sum_t w_t log p(a_t) / sum_t w_t

        with the weights `x["weights"]` `[B, T]`. The metric `nll` is the
        plain mean over the answers' own tokens, where `x["answers"]` is 1.
        """
        weights = tf.where(x["mask"], x["weights"], 0.0)
        log_probs = tf.where(x["mask"], y_pred["log_probs"], 0.0)
        answers = tf.where(x["mask"], x["answers"], 0.0)
        count = tf.reduce_sum(answers)
        nll = -tf.math.divide_no_nan(tf.reduce_sum(answers * log_probs), count)
        self.nll.update_state(nll, sample_weight=count)
        total = tf.reduce_sum(weights)
        return -tf.reduce_sum(weights * log_probs) / total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The mean negative log-likelihood over all tokens seen."""
        return {"nll": self.nll.result()}

    def build(self, input_shape=None):
        """Variables exist from the constructor on."""
        self.built = True

    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "tokenizer": keras.saving.serialize_keras_object(
                    self.tokenizer
                ),
                "max_prompt_tokens": self.max_prompt_tokens,
                "max_new_tokens": self.max_new_tokens,
                "temperature": self.temperature,
                "stop_ids": self.stop_ids,
                "prompt_start_id": self.prompt_start_id,
                "answer_start_id": self.answer_start_id,
            }
        )
        return config

    def export(self, filepath: str | Path, **kwargs) -> None:
        """Write a SavedModel for TensorFlow Serving, see `models.export`.

        Note:
            Replaces `keras.Model.export`, which stores weights twice and
            whose endpoint knows no text.
        """
        if kwargs:
            raise TokenRLError(
                f"A policy is exported as a SavedModel without options, got "
                f"{sorted(kwargs)}."
            )
        export(self, filepath)

    def frozen_copy(self) -> "Policy":
        """An equal policy whose weights will not change."""
        # A tokenizer's configuration has no vocabulary, so it is shared.
        config = self.get_config() | {"tokenizer": self.tokenizer}
        copy = type(self).from_config(config)
        copy.set_weights(self.get_weights())
        copy.trainable = False
        return copy
