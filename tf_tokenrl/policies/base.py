"""What every policy is: a Keras model that chooses actions and judges states.

encode -> act -> decode      text to answers
call                         log-probs, values and entropy of given answers
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.decoding.sampling import Sampling, row_seeds
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.export.savedmodel import export
from tf_tokenrl.flow import Response, Rollout, Scores, Tensor
from tf_tokenrl.ops import categorical
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.adapted import AdaptedPolicy
from tf_tokenrl.text.preparation import Preparation


class Policy(AdaptedPolicy):
    """A model that chooses actions for a text, with a value head.

    An action is the next token of an answer (`GenerativePolicy`) or the label
    of a word or a text (`LabelPolicy`). Subclasses give `text`,
    `action_states`, `logits`, `act` and `served`; this class does the rest.

    Args:
        tokenizer: a `keras_hub` tokenizer.
        max_prompt_tokens: the longest prompt, special tokens included.
        max_new_tokens: T, the most actions for one prompt.
        temperature: of sampling and of every log-prob that is trained on.
        stop_ids: actions that end an answer.
        preparation: what is done to a prompt before it is read, or None; see
            `tf_tokenrl.text.preparation`.
    """

    parts: tuple[str, ...] = ("tokenizer",)  # arguments that Keras revives
    writes_text = False  # whether prompts are what it could have written
    packs = True  # reads answers without padding, which XLA cannot compile
    recomputes = False  # see `checkpoint_gradients`
    slots: int | None = None  # answers under way at a time; None is all
    largest_logits = categorical.LARGEST  # bytes; more are made by parts

    @property
    def kind(self) -> str:
        """What it answers: it "writes", "tags" or "classifies"."""
        return "writes"

    def __init__(
        self,
        tokenizer,
        max_prompt_tokens: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        stop_ids: tuple[int, ...] = (),
        preparation: Preparation | dict | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if isinstance(preparation, dict):  # from a configuration
            preparation = Preparation(**preparation)
        self.preparation = preparation
        self.autocast = False  # a temperature in bfloat16 would be another
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
        self.tokenizer = tokenizer
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.stop_ids = tuple(int(i) for i in stop_ids)
        self.value_head = keras.layers.Dense(
            1, kernel_initializer="zeros", dtype="float32", name="value_head"
        )

    def prepare_prompts(self, preparation: Preparation) -> None:
        """Read prompts as they were prepared that this policy learns from."""
        self.preparation = self.text.preparation = preparation
        self.text.revive()

    # What a subclass gives.

    def generate(
        self, prompts: Sequence[str], seed: int = 0, **sampling: float
    ) -> list[Response]:
        """Answer prompts, in their order.

            policy.generate(["open a file"], temperature=0.7)[0].text

        Args:
            prompts: texts.
            seed: the same seed draws the same answers.
            **sampling: see `Sampling`; a temperature of 0, the default, takes
                the likeliest action always.

        Raises:
            TokenRLError: a prompt is too long, or a setting is unknown.
        """
        if unfit := set(sampling) - set(Sampling._fields):
            raise unknown("setting", min(unfit), Sampling._fields)
        if not prompts:
            return []
        settings = self.sampling._replace(**{"temperature": 0.0} | sampling)
        ids, mask = self.encode(list(prompts))
        seeds = row_seeds(seed, 0, len(ids))
        rollout = self._acting(ids, mask, seeds, settings)
        return self.decode(Rollout(*map(_array, rollout)))

    @functools.cached_property
    def _acting(self):
        """`act`, traced once for each set of settings."""
        return tf.function(self.act, reduce_retracing=True)

    @property
    def text(self):
        """Text to ids and back as the served graph does it: a codec."""
        raise NotImplementedError(type(self).__name__)

    def action_states(self, inputs: dict, training: bool = False) -> tf.Tensor:
        """Hidden states `[B, T, H]` from which each action is chosen.

        Args:
            inputs: see `call`.
            training: the rows are of similar length and share no prompts, as
                those of `Rows.epoch` do; the states are the same either way.
        """
        raise NotImplementedError(type(self).__name__)

    def logits(self, hidden):
        """`[..., H]` -> float32 `[..., V]`, before temperature."""
        raise NotImplementedError(type(self).__name__)

    def act(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        capacity: int | None = None,
    ) -> Rollout:
        """Choose actions for each prompt; call it inside a `tf.function`.

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
        raise NotImplementedError(type(self).__name__)

    def act_after(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        prefix: Prefix,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
    ) -> Rollout:
        """Sample the rest of answers whose first tokens are given.

        Args:
            prompt_ids: int32 `[B, P]`, padded on the right.
            prompt_mask: bool `[B, P]`.
            prefix: the first tokens of each answer.
            seeds: int64 `[B, 2]`, as for `act`.
            sampling: as for `act`; the limit is that of the whole answer.

        Returns:
            A `Rollout` of whole answers `[B, T]`. The prefix stands in
            `actions` with the mask False; log-probs and values there are 0.
        """
        raise NotImplementedError(type(self).__name__)

    def served(self) -> tf.Module:
        """The graphs that a server runs, see `export.savedmodel`."""
        raise NotImplementedError(type(self).__name__)

    # Text to tokens and back.

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
            training: True for data that exists, see `action_states`. Dropout
                stays off, so that it never makes the ratio of new to old
                probabilities differ from 1 by itself.
            temperature: of the distributions; by default the policy's own.
            uniform: share of the uniform distribution mixed in; None mixes
                nothing, see `Sampling`.
            reference: adds `divergence`, see `divergence.score_against`.
        """
        if temperature is None:
            temperature = self.temperature
        hidden = self.action_states(inputs, training)
        chosen = tf.where(inputs["mask"])  # only these need the output layer

        def head(policy, hidden, *mixed):
            states = tf.gather_nd(hidden, chosen)
            return output_layer.head(policy, states, temperature, *mixed)

        def placed(values):
            shape = tf.shape(inputs["mask"], tf.int64)
            return tf.scatter_nd(chosen, values, shape)

        theirs = None
        if reference is not None:
            theirs = head(reference, reference.action_states(inputs))
        judged = categorical.judge(
            head(self, hidden, uniform),
            tf.gather_nd(tf.cast(inputs["actions"], tf.int32), chosen),
            theirs,
            self.largest_logits,
        )
        found = {
            "log_probs": placed(judged.log_probs),
            "values": self.state_values(hidden),
            "entropy": placed(judged.entropy),
        }
        if reference is not None:
            found["divergence"] = placed(judged.divergence)
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

    def checkpoint_gradients(self) -> None:
        """Keep less for a gradient step, at the cost of another forward pass.

        Of each layer only what it was given is kept, see
        `gradient_checkpointing`. The numbers are the same. Do so before the
        first step.

        Raises:
            TokenRLError: this policy's layers cannot be computed again.
        """
        raise TokenRLError(
            f"Gradient checkpointing needs a GPT-2 or Llama; this "
            f"{type(self).__name__} has another architecture: leave "
            "gradient_checkpointing out, or raise accumulation."
        )

    def state_values(self, hidden: tf.Tensor) -> tf.Tensor:
        """The critic's value of each state: `[..., H]` -> float32 `[...]`."""
        head = self.map_of("value_head")
        kernel, bias = (
            tf.cast(head[n], tf.float32) for n in ("kernel", "bias")
        )
        found = tf.tensordot(tf.cast(hidden, tf.float32), kernel, 1)
        return (found + bias)[..., 0]

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
            }
        )
        if self.preparation is not None:
            config["preparation"] = self.preparation.get_config()
        return config

    def export(
        self, filepath: str | Path, known: dict | None = None, **kwargs
    ) -> None:
        """Write a SavedModel for TensorFlow Serving, see `export.savedmodel`.

        Note:
            Replaces `keras.Model.export`, which stores weights twice and
            whose endpoint knows no text.
        """
        if kwargs:
            raise TokenRLError(
                f"A policy is exported as a SavedModel without options, got "
                f"{sorted(kwargs)}."
            )
        export(self, filepath, known)


def _array(tensor):
    return None if tensor is None else np.asarray(tensor)
