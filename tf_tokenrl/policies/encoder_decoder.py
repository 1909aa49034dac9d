"""A policy over a KerasHub `Seq2SeqLM`: one model reads, another writes."""

import functools

import keras
import keras_hub
import tensorflow as tf

from tf_tokenrl import backbones, importers
from tf_tokenrl.backbones import activations, linear
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.decoding.keras_hub_cross_cache import (
    CallDecoderWithCacheDecoder,
)
from tf_tokenrl.decoding.own_cross_cache import (
    CrossAttentionDecoder,
    answer_states,
    padded_states,
)
from tf_tokenrl.decoding.prefix import Prefix, divide, mark
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.generative import GenerativePolicy
from tf_tokenrl.policies.output_layer import Numbers
from tf_tokenrl.text.codec import TextCodec

_KNOWN = ("BartSeq2SeqLM", "T5Seq2SeqLM")


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class EncoderDecoderPolicy(GenerativePolicy):
    """An encoder that reads the prompt and a decoder that writes the answer.

    The value head sits on the decoder's states.

    Args:
        seq2seq_lm: a `keras_hub.models.BartSeq2SeqLM` or `T5Seq2SeqLM`;
            held, not copied.
        answer_start_ids: what the decoder reads before it writes, one token
            or more.
        prompt_start_id: put before each prompt, or None.
        prompt_end_id: put after each prompt, or None.
        **kwargs: see `Policy`; `max_prompt_tokens` counts what is put before
            and after a prompt, `max_new_tokens` the stop token.

    Raises:
        TokenRLError: the model cannot be decoded, has no room for the longest
            prompt or answer, or has no token to read or to begin with.
    """

    parts = ("tokenizer", "seq2seq_lm")

    def __init__(
        self,
        seq2seq_lm,
        answer_start_ids: tuple[int, ...],
        prompt_start_id: int | None = None,
        prompt_end_id: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.seq2seq_lm = seq2seq_lm
        self.backbone = seq2seq_lm.backbone
        self.answer_start_ids = tuple(int(i) for i in answer_start_ids)
        self.prompt_start_id = prompt_start_id
        self.prompt_end_id = prompt_end_id
        self._check()
        backbones.tell_slow(self.backbone, self.longest)
        activations.lighten(self.backbone)
        self.value_head.build((None, None, self.backbone.hidden_dim))
        self.build()

    def _check(self):
        known = [getattr(keras_hub.models, name) for name in _KNOWN]
        if not isinstance(self.seq2seq_lm, tuple(known)):
            raise TokenRLError(
                f"{type(self.seq2seq_lm).__name__} cannot be decoded as an "
                f"encoder-decoder: choose {' or '.join(_KNOWN)}."
            )
        if not self.answer_start_ids:
            raise TokenRLError(
                "answer_start_ids is empty: name the token that the decoder "
                "reads first."
            )
        if self.prompt_start_id is None and self.prompt_end_id is None:
            raise TokenRLError(
                "Give prompt_start_id or prompt_end_id: without either an "
                "empty prompt has no token for the encoder to read."
            )
        room = getattr(self.backbone, "max_sequence_length", None)
        answer = len(self.answer_start_ids) + self.max_new_tokens
        if room and max(self.max_prompt_tokens, answer) > room:
            raise TokenRLError(
                f"The model has {room} positions, too few for "
                f"{self.max_prompt_tokens} prompt tokens or for an answer of "
                f"{answer} with what opens it: lower max_prompt_tokens or "
                "max_new_tokens."
            )

    @functools.cached_property
    def text(self) -> TextCodec:
        """The tokenizer as the served graph runs it."""
        return TextCodec(
            self.tokenizer,
            self.max_prompt_tokens,
            self.max_new_tokens,
            self.stop_ids,
            self.prompt_start_id,
            self.prompt_end_id,
            preparation=self.preparation,
        )

    @property
    def longest(self) -> int:
        """Tokens that are read as one text, at most."""
        answer = len(self.answer_start_ids) + self.max_new_tokens
        return max(self.max_prompt_tokens, answer)

    def find_backbone(self) -> Transformer | None:
        return backbones.find(self.backbone, self.longest)

    def find_ends(self) -> dict:
        return linear.of_embedding(self.backbone.token_embedding)

    def answer_states(self, prompt_ids, lengths, actions, counts) -> tf.Tensor:
        """See `GenerativePolicy.answer_states`."""
        transformer = self.transformer()
        if transformer is None:
            return self.padded_states(prompt_ids, lengths, actions, counts)
        prompts = (prompt_ids, lengths)
        ids = self._read_ids(actions, counts)
        before = len(self.answer_start_ids) - 1
        read = before + tf.maximum(counts, 1)
        return answer_states(transformer, prompts, ids, read)[:, before:]

    def padded_states(self, prompt_ids, lengths, actions, counts) -> tf.Tensor:
        """See `GenerativePolicy.padded_states`.

        Padding is 0 and is never looked at, so that every row is computed as
        if it stood alone, whatever its batch is padded to.
        """
        present = tf.sequence_mask(lengths, tf.shape(prompt_ids)[1])
        prompt_ids = tf.where(present, prompt_ids, 0)
        ids = self._read_ids(actions, counts)
        transformer = self.transformer()
        if transformer is not None:
            states = padded_states(transformer, prompt_ids, present, ids)
        else:
            states = self.backbone(
                {
                    "encoder_token_ids": prompt_ids,
                    "encoder_padding_mask": tf.cast(present, tf.int32),
                    "decoder_token_ids": ids,
                    "decoder_padding_mask": tf.ones_like(ids),
                },
                training=False,
            )["decoder_sequence_output"]
        return states[:, len(self.answer_start_ids) - 1 :]

    def _read_ids(self, actions, counts) -> tf.Tensor:
        """What the decoder reads of answers: all but their last token."""
        present = tf.sequence_mask(counts, tf.shape(actions)[1])
        return self._opened(tf.where(present, actions, 0))[:, :-1]

    def logits(self, hidden):
        return self.output_layer()(hidden)

    def output_layer(self):
        """That of the embedding, after what T5 does to the states."""
        layer = output_layer.of_map(
            self._logits_map(), self._numbers, self.stops("logits")
        )

        def scaled(states):
            scale = tf.cast(self._output_scale, states.dtype)
            return layer.before(states * scale)

        return layer._replace(before=scaled)

    def _logits_map(self) -> linear.Entries:
        return self.map_of("logits", "embedding")

    @property
    def _numbers(self) -> Numbers:
        return Numbers.of(self.backbone.token_embedding)

    @property
    def _output_scale(self) -> float:
        if not getattr(self.backbone, "tie_embedding_weights", False):
            return 1.0
        return self.backbone.hidden_dim**-0.5

    def behind_prompt(self, prefix: Prefix) -> Prefix:
        """See `GenerativePolicy`; the decoder reads them, so mark them."""
        return mark(prefix)

    def divide(self, ids: tf.Tensor, lengths: tf.Tensor):
        """What the encoder and the decoder are to read of encoded prompts.

        Args:
            ids: int32 `[B, P]`; tokens of the answer, if there are any,
                stand behind the prompt's and are marked, see `prefix.mark`.
            lengths: int32 `[B]`, the marked tokens included.

        Returns:
            Ids `[B, P]` and lengths `[B]` of the prompts, and the same of
            what the answers begin with.
        """
        ids, lengths, given, counts = divide(ids, lengths)
        opening = len(self.answer_start_ids)
        return (ids, lengths), (self._opened(given), counts + opening)

    def _opened(self, ids: tf.Tensor) -> tf.Tensor:
        """`[B, L]` behind the tokens that open an answer."""
        opening = tf.constant([self.answer_start_ids], tf.int32)
        opening = tf.tile(opening, [tf.shape(ids)[0], 1])
        return tf.concat([opening, ids], axis=1)

    def decoder(self):
        transformer = self.transformer()
        if transformer is None:
            return CallDecoderWithCacheDecoder(self)
        return CrossAttentionDecoder(
            self,
            transformer.decoding(),
            output_layer.for_few_rows(self._logits_map(), self._numbers),
        )

    def get_config(self):
        config = super().get_config()
        seq2seq_lm = keras.saving.serialize_keras_object(self.seq2seq_lm)
        seq2seq_lm.pop("compile_config", None)  # KerasHub's default, unused
        config.update(
            {
                "seq2seq_lm": seq2seq_lm,
                "answer_start_ids": self.answer_start_ids,
                "prompt_start_id": self.prompt_start_id,
                "prompt_end_id": self.prompt_end_id,
            }
        )
        return config

    @classmethod
    def from_preset(cls, preset: str, **kwargs) -> "EncoderDecoderPolicy":
        """A policy over pretrained weights.

        Args:
            preset: see `importers.load`.
            **kwargs: see the class; limits default to 512 prompt and 128 new
                tokens, special tokens to those of the preset.

        Raises:
            TokenRLError: there is no such preset or folder.
        """
        return cls.over(importers.load(preset), **kwargs)

    @classmethod
    def over(cls, found: Pretrained, **kwargs) -> "EncoderDecoderPolicy":
        """A policy over what an importer gave."""
        kwargs = found.options | kwargs
        kwargs.setdefault("max_prompt_tokens", 512)
        kwargs.setdefault("max_new_tokens", 128)
        if not found.options:
            kwargs = _packed(found.model.preprocessor) | kwargs
        return cls(found.model, tokenizer=found.tokenizer, **kwargs)


def _packed(preprocessor) -> dict:
    """What a KerasHub preprocessor puts around texts."""
    if not preprocessor.built:
        preprocessor.build(None)
    reads, writes = preprocessor.encoder_packer, preprocessor.decoder_packer
    return {
        "stop_ids": (preprocessor.tokenizer.end_token_id,),
        "prompt_start_id": (reads.start_value or [None])[0],
        "prompt_end_id": (reads.end_value or [None])[0],
        "answer_start_ids": writes.start_value,
    }
