"""A policy over any KerasHub `CausalLM`."""

import keras
import tensorflow as tf

from tf_tokenrl import backbones, importers
from tf_tokenrl.backbones import activations, kernels, packing
from tf_tokenrl.decoding.keras_hub_cache import (
    CallWithCacheDecoder,
    check_architecture,
)
from tf_tokenrl.decoding.own_cache import CachedAttentionDecoder, in_panels
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.policies import output_layer
from tf_tokenrl.policies.language_model import LanguageModelPolicy


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
        self._check_room()
        check_architecture(causal_lm)
        self.value_head.build((None, None, self.backbone.hidden_dim))
        self.build()

    def _check_room(self):
        room = getattr(self.backbone, "max_sequence_length", None)
        if room and self.max_prompt_tokens + self.max_new_tokens > room:
            raise TokenRLError(
                f"The model has {room} positions, too few for "
                f"{self.max_prompt_tokens} prompt and {self.max_new_tokens} "
                "new tokens: lower max_prompt_tokens or max_new_tokens."
            )

    def hidden_states(self, token_ids, padding_mask):
        return self.backbone(
            {
                "token_ids": token_ids,
                "padding_mask": tf.cast(padding_mask, tf.int32),
            },
            training=False,
        )

    def answer_states(self, prompt_ids, lengths, actions, counts):
        answers = (prompt_ids, lengths, actions, counts)
        architecture = backbones.find(self.backbone)
        if architecture is None:
            return self.padded_states(*answers)
        return packing.answer_states(architecture, *answers, self.recomputes)

    def checkpoint_gradients(self):
        if backbones.find(self.backbone) is None:
            super().checkpoint_gradients()
        self.recomputes = True

    def logits(self, hidden):
        embedding = self.backbone.token_embedding
        return tf.cast(embedding(hidden, reverse=True), tf.float32)

    def output_layer(self):
        return output_layer.of_embedding(self.backbone.token_embedding)

    def decoder(self, prepared: tuple | None = None):
        architecture = backbones.find(self.backbone)
        if architecture is None:
            return CallWithCacheDecoder(self)
        return CachedAttentionDecoder(self, architecture, prepared)

    def preparations(self):
        if backbones.find(self.backbone) is None:
            return ()
        embedding = self.backbone.token_embedding
        return (
            lambda: in_panels(backbones.find(self.backbone)),
            lambda: kernels.Output(embedding).weights,
        )

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
