"""A policy over an encoder: its actions are labels of words or of texts."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl import backbones, importers
from tf_tokenrl.backbones import linear, packing
from tf_tokenrl.backbones.packing import equal_neighbours
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.decoding.sampling import Sampling, draw, uniforms
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.export.labels import ServedLabels
from tf_tokenrl.flow import Rollout
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.text.label_codec import LETTER_CASES, UNITS, LabelCodec, unpack


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class LabelPolicy(Policy):
    """An encoder that chooses labels, with a value head.

        p(a_t | text) = softmax(W h_t + b) / temperature

    where h_t is the encoder's state at the first sub-word of word t, or at
    the start token where the whole text gets one label. All labels of a text
    are chosen at once: given the text, they do not depend on each other.

    An answer's text is its labels joined by spaces, in the order of the
    words, which are what white space separates in the prompt.

    Args:
        encoder: a `keras_hub.models.Backbone` that gives a state per token,
            such as `BertBackbone`; held, not copied.
        labels: the texts of the labels.
        max_prompt_tokens: the longest prompt, start and end included.
        unit: "word" or "text", what gets a label.
        start_id: token before each prompt.
        end_id: token after each prompt, or None.
        unknown_id: token of a word of which the tokenizer leaves nothing.
        letter_case: tell the encoder, by the segment of each token, how its
            word is written; see `label_codec.letter_case`.
        **kwargs: see `Policy`; `max_new_tokens` follows from the rest.

    Raises:
        TokenRLError: labels that cannot be told apart, an encoder without
            room for the longest prompt or without segments for letter case.
    """

    parts = ("tokenizer", "encoder")
    heads = ("value_head", "logits")

    @property
    def kind(self) -> str:
        """See `Policy.kind`."""
        return "tags" if self.unit == "word" else "classifies"

    def __init__(
        self,
        encoder,
        labels: tuple[str, ...],
        max_prompt_tokens: int,
        unit: str = "word",
        start_id: int = 0,
        end_id: int | None = None,
        unknown_id: int = 0,
        letter_case: bool = False,
        **kwargs,
    ):
        words = max_prompt_tokens - 1 - (end_id is not None)
        super().__init__(
            max_prompt_tokens=max_prompt_tokens,
            max_new_tokens=words if unit == "word" else 1,
            **kwargs,
        )
        self.encoder = encoder
        self.labels = tuple(labels)
        self.unit = unit
        self.start_id = start_id
        self.end_id = end_id
        self.unknown_id = unknown_id
        self.letter_case = letter_case
        self._check_labels()
        self._check_encoder()
        if hasattr(encoder, "pooled_dense"):
            encoder.pooled_dense.trainable = False  # nothing reads it
        self.label_head = keras.layers.Dense(
            len(self.labels),
            kernel_initializer=keras.initializers.TruncatedNormal(stddev=0.02),
            dtype="float32",
            name="label_head",
        )
        for head in (self.label_head, self.value_head):
            head.build((None, None, encoder.hidden_dim))
        backbones.tell_slow(encoder, self.longest)
        self.build()

    def _check_labels(self):
        if self.unit not in UNITS:
            raise unknown("unit of labels", self.unit, UNITS)
        if len(self.labels) < 2 or len(set(self.labels)) < len(self.labels):
            raise TokenRLError(
                f"The labels are {list(self.labels)}: give two or more, each "
                "once."
            )
        for label in self.labels:
            spaced = label.split() if self.unit == "word" else [label.strip()]
            if not label or spaced != [label]:
                raise TokenRLError(
                    f"The label {label!r} is empty or has white space where "
                    "labels are taken apart: name it otherwise."
                )

    def _check_encoder(self):
        room = getattr(self.encoder, "max_sequence_length", None)
        if room and self.max_prompt_tokens > room:
            raise TokenRLError(
                f"The encoder has {room} positions, too few for "
                f"{self.max_prompt_tokens} prompt tokens: lower "
                "max_prompt_tokens."
            )
        segments = getattr(self.encoder, "num_segments", 0)
        if self.letter_case and segments < LETTER_CASES:
            raise TokenRLError(
                f"Letter case needs an encoder with {LETTER_CASES} segments, "
                f"such as BERT can have; this one has {segments}."
            )

    @functools.cached_property
    def text(self) -> LabelCodec:
        """The tokenizer and the labels as the served graph runs them."""
        codec = LabelCodec(
            self.tokenizer,
            self.labels,
            self.unit,
            self.max_prompt_tokens,
            self.max_new_tokens,
            self.start_id,
            self.end_id,
            self.unknown_id,
            self.letter_case,
        )
        codec.preparation = self.preparation
        return codec

    def encode_pairs(self, prompts: list[str], answers: list[str]) -> Rollout:
        """Given labels as if the policy had chosen them.

        Raises:
            TokenRLError: a prompt is too long, or an answer has a label that
                the policy lacks, or more or fewer labels than there are
                words.
        """
        rollout = super().encode_pairs(prompts, answers)
        ids = np.where(rollout.prompt_mask, rollout.prompt_ids, 0)
        places = np.asarray(unpack(ids)[2]).sum(-1)
        for row, given in enumerate(rollout.mask.sum(-1)):
            if given != places[row]:
                raise TokenRLError(
                    f"Example {row} has {places[row]} words but {given} "
                    f'labels ("{prompts[row][:40]}..."): give each word, as '
                    "white space separates them, one label."
                )
        return rollout

    def find_backbone(self) -> Transformer | None:
        return backbones.find(self.encoder, self.longest)

    def find_ends(self) -> dict:
        return {"logits": linear.of_layer(self.label_head)}

    @property
    def longest(self) -> int:
        """Tokens that are read as one text, at most."""
        return self.max_prompt_tokens

    def hidden_states(self, prompt_ids, prompt_mask):
        """`[B, P]` ids as `encode` gives them -> `[B, P, H]`."""
        tokens, cases, _ = unpack(tf.where(prompt_mask, prompt_ids, 0))
        segments = cases if self.letter_case else tf.zeros_like(cases)
        transformer = self.transformer()
        if transformer is not None:
            return packing.encode(transformer, tokens, prompt_mask, segments)
        inputs = {
            "token_ids": tokens,
            "padding_mask": tf.cast(prompt_mask, tf.int32),
            "segment_ids": segments,
        }
        given = {name: inputs[name] for name in self.encoder.input}
        states = self.encoder(given, training=False)
        return states["sequence_output"] if isinstance(states, dict) else states

    def action_states(self, inputs: dict, training: bool = False) -> tf.Tensor:
        """See `Policy.action_states`; no padding is ever looked at."""
        prompt_ids = tf.cast(inputs["prompt_ids"], tf.int32)
        columns = tf.shape(inputs["mask"])[1]
        places = self._places(prompt_ids, inputs["prompt_mask"])
        width = tf.shape(places)[1]
        order = tf.where(places, tf.range(width), width - 1)
        order = tf.pad(
            tf.sort(order, axis=1),
            [[0, 0], [0, columns]],
            constant_values=0,
        )[:, :columns]
        groups, hidden = self._read(prompt_ids, inputs["prompt_mask"])
        rows = tf.broadcast_to(groups[:, None], tf.shape(order))
        return tf.gather_nd(hidden, tf.stack([rows, order], axis=-1))

    def _read(self, prompt_ids, prompt_mask):
        """Neighbours that are one prompt are read once.

        Returns:
            The number of each row's prompt, int32 `[B]`, and the states of
            the prompts, `[G, P, H]`.
        """
        lengths = tf.reduce_sum(tf.cast(prompt_mask, tf.int32), axis=-1)
        groups, first = equal_neighbours(prompt_ids, lengths)
        prompts = tf.gather(prompt_ids, first), tf.gather(prompt_mask, first)
        return groups, self.hidden_states(*prompts)

    def _places(self, prompt_ids, prompt_mask):
        """Where labels are chosen, bool `[B, P]`."""
        return unpack(tf.where(prompt_mask, prompt_ids, 0))[2]

    def logits(self, hidden):
        return self.output_layer()(hidden)

    def output_layer(self):
        numbers = output_layer.Numbers("float32")
        return output_layer.of_map(
            self.map_of("logits"), numbers, self.stops("logits")
        )

    def act(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
        capacity: int | None = None,
    ) -> Rollout:
        """Choose all labels of each text, see `Policy.act`.

        Note:
            Every word gets its label: `sampling.max_new_tokens` means
            nothing here.
        """
        rows, columns = tf.shape(prompt_ids)[0], capacity or self.max_new_tokens
        places = self._places(tf.cast(prompt_ids, tf.int32), prompt_mask)
        count = tf.reduce_sum(tf.cast(places, tf.int32), axis=-1)
        width = tf.minimum(columns, tf.shape(prompt_ids)[1])
        mask = tf.sequence_mask(tf.minimum(count, width), width)
        states = self.action_states(
            {"prompt_ids": prompt_ids, "prompt_mask": prompt_mask, "mask": mask}
        )
        each_row = (sampling or self.sampling).per_row(rows)
        each_label = {
            name: tf.repeat(x, width) for name, x in each_row.tensors().items()
        }
        actions, log_probs = draw(
            tf.reshape(self.logits(states), [-1, len(self.labels)]),
            tf.reshape(uniforms(seeds, columns)[:, :width], [-1, 2]),
            Sampling(**each_label),
        )

        def answers(x, nothing):
            x = tf.where(mask, tf.reshape(x, [rows, width]), nothing)
            x = tf.pad(x, [[0, 0], [0, columns - width]])
            return tf.ensure_shape(x, [None, columns])

        return Rollout(
            prompt_ids,
            prompt_mask,
            answers(actions, 0),
            answers(mask, False),
            answers(log_probs, 0.0),
            answers(self.state_values(states), 0.0),
        )

    def act_after(
        self,
        prompt_ids: tf.Tensor,
        prompt_mask: tf.Tensor,
        prefix: Prefix,
        seeds: tf.Tensor,
        sampling: Sampling | None = None,
    ) -> Rollout:
        """See `Policy.act_after`."""
        rollout = self.act(prompt_ids, prompt_mask, seeds, sampling)
        columns = tf.shape(rollout.actions)[1]
        forced = tf.sequence_mask(prefix.counts, columns)
        ids = tf.pad(prefix.ids, [[0, 0], [0, columns]])[:, :columns]
        return rollout._replace(
            actions=tf.where(forced, ids, rollout.actions),
            mask=rollout.mask & ~forced,
            log_probs=tf.where(forced, 0.0, rollout.log_probs),
            values=tf.where(forced, 0.0, rollout.values),
        )

    def served(self) -> tf.Module:
        """See `Policy.served`."""
        return ServedLabels(self)

    def get_config(self):
        config = super().get_config()
        for name in ("max_new_tokens", "stop_ids"):
            del config[name]
        encoder = keras.saving.serialize_keras_object(self.encoder)
        own = ("labels", "unit", "start_id", "end_id", "unknown_id")
        return config | {
            "encoder": encoder,
            "letter_case": self.letter_case,
            **{name: getattr(self, name) for name in own},
        }

    @classmethod
    def from_preset(
        cls, preset: str, labels: tuple[str, ...], **kwargs
    ) -> "LabelPolicy":
        """A policy over a pretrained encoder.

        With `letter_case` its segments, of which a single text uses the
        first alone, are replaced by one per letter case, equal at first.

        Args:
            preset: see `importers.load_encoder`.
            labels: see the class.
            **kwargs: see the class; `max_prompt_tokens` defaults to 128.

        Raises:
            TokenRLError: there is no such preset or folder.
        """
        found = importers.load_encoder(preset)
        encoder, tokenizer = found.model, found.tokenizer
        if kwargs.get("letter_case") and hasattr(encoder, "segment_embedding"):
            encoder = _with_letter_case(encoder)
        kwargs.setdefault("max_prompt_tokens", 128)
        kwargs.setdefault("start_id", tokenizer.start_token_id)
        kwargs.setdefault("end_id", tokenizer.end_token_id)
        kwargs.setdefault("unknown_id", _unknown_id(tokenizer))
        return cls(encoder, labels, tokenizer=tokenizer, **kwargs)


def _with_letter_case(encoder):
    """An equal encoder with a segment for each letter case."""
    config = encoder.get_config() | {"num_segments": LETTER_CASES}
    wider = type(encoder).from_config(config)
    table = encoder.segment_embedding.embeddings
    wider.set_weights(
        [
            np.repeat(w.numpy()[:1], LETTER_CASES, axis=0)
            if w is table
            else w.numpy()
            for w in encoder.weights
        ]
    )
    return wider


def _unknown_id(tokenizer) -> int:
    """The token of what a tokenizer does not know, or of padding."""
    name = getattr(tokenizer, "oov_token", None)
    if name is None:
        return int(getattr(tokenizer, "unk_token_id", None) or 0)
    return int(tokenizer.token_to_id(name))
