"""A policy over any KerasHub `CausalLM`."""

import keras
import tensorflow as tf

from tf_tokenrl import backbones, importers
from tf_tokenrl.backbones import activations, kernels, linear, packing
from tf_tokenrl.backbones.transformer import Transformer
from tf_tokenrl.decoding.keras_hub_cache import (
    CallWithCacheDecoder,
    check_architecture,
)
from tf_tokenrl.decoding.own_cache import CachedAttentionDecoder
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.language_model import LanguageModelPolicy
from tf_tokenrl.policies.output_layer import Numbers


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class CausalPolicy(LanguageModelPolicy):
    """A causal transformer that chooses tokens, with a value head.

    Args:
        causal_lm: a `keras_hub.models.CausalLM`; held, not copied.
        **kwargs: see `LanguageModelPolicy`.

    Raises:
        TokenRLError: the model cannot be decoded, or has no room for the
            longest prompt and answer.
    """

    parts = ("tokenizer", "causal_lm")

    def __init__(self, causal_lm, **kwargs):
        super().__init__(**kwargs)
        self.causal_lm = causal_lm
        self.backbone = causal_lm.backbone
        activations.lighten(self.backbone)
        self._check_positions()
        check_architecture(causal_lm)
        backbones.tell_slow(self.backbone, self.longest)
        self.value_head.build((None, None, self.backbone.hidden_dim))
        self.build()

    def find_backbone(self) -> Transformer | None:
        return backbones.find(self.backbone, self.longest)

    def find_ends(self) -> dict:
        return linear.of_embedding(self.backbone.token_embedding)

    def _check_positions(self):
        room = getattr(self.backbone, "max_sequence_length", None)
        if room and self.longest > room:
            raise TokenRLError(
                f"The model has {room} positions, too few for "
                f"{self.max_prompt_tokens} prompt and {self.max_new_tokens} "
                "new tokens: lower max_prompt_tokens or max_new_tokens."
            )

    def hidden_states(self, token_ids, padding_mask):
        transformer = self.transformer()
        if transformer is not None:
            return packing.read_padded(transformer, token_ids)
        inputs = {
            "token_ids": token_ids,
            "padding_mask": tf.cast(padding_mask, tf.int32),
        }
        return self.backbone(inputs, training=False)

    def answer_states(self, prompt_ids, lengths, actions, counts):
        answers = (prompt_ids, lengths, actions, counts)
        transformer = self.transformer()
        if transformer is None:
            return self.padded_states(*answers)
        return packing.answer_states(transformer, *answers, self.recomputes)

    def checkpoint_gradients(self):
        if self.known is None:
            super().checkpoint_gradients()
        self.recomputes = True

    def logits(self, hidden):
        return self.output_layer()(hidden)

    def output_layer(self):
        return output_layer.of_map(
            self._logits_map(), self._numbers, self.stops("logits")
        )

    def decoder(self, prepared: tuple | None = None):
        transformer = self.transformer()
        if transformer is None:
            return CallWithCacheDecoder(self)
        layers, output = prepared or (None, None)
        return CachedAttentionDecoder(
            self,
            transformer.decoding(layers),
            output_layer.for_few_rows(
                self._logits_map(), self._numbers, output
            ),
        )

    def preparations(self):
        if self.known is None:
            return ()

        def panels():
            return self.transformer().in_panels()  # type: ignore[union-attr]

        def output():
            return kernels.of_output(self._logits_map(), self._numbers.dtype)

        return panels, output

    def _logits_map(self) -> linear.Entries:
        return self.map_of("logits", "embedding")

    @property
    def _numbers(self) -> Numbers:
        return Numbers.of(self.backbone.token_embedding)

    def get_config(self):
        config = super().get_config()
        causal_lm = keras.saving.serialize_keras_object(self.causal_lm)
        causal_lm.pop("compile_config", None)  # KerasHub's default, unused
        if hasattr(self.backbone, "tie_word_embeddings"):
            # KerasHub 0.32 leaves it out of the Llama backbone's own config.
            backbone = causal_lm["config"]["backbone"]["config"]
            backbone["tie_word_embeddings"] = self.backbone.tie_word_embeddings
        config["causal_lm"] = causal_lm
        return config

    @classmethod
    def from_preset(cls, preset: str, **kwargs) -> "CausalPolicy":
        """A policy over pretrained weights.

        Args:
            preset: see `importers.load`.
            **kwargs: see `LanguageModelPolicy`; limits default to 512 prompt
                and 128 new tokens.

        Raises:
            TokenRLError: there is no such preset or folder.
        """
        return cls.over(importers.load(preset), **kwargs)

    @classmethod
    def over(cls, found: Pretrained, **kwargs) -> "CausalPolicy":
        """A policy over what an importer gave."""
        causal_lm, tokenizer = found.model, found.tokenizer
        check_architecture(causal_lm)
        kwargs = found.options | kwargs
        kwargs.setdefault("max_prompt_tokens", 512)
        kwargs.setdefault("max_new_tokens", 128)
        kwargs.setdefault("stop_ids", (tokenizer.end_token_id,))
        if not found.options and causal_lm.preprocessor.add_start_token:
            kwargs.setdefault("prompt_start_id", tokenizer.start_token_id)
        return cls(causal_lm, tokenizer=tokenizer, **kwargs)
