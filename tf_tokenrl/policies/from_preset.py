"""Policies over pretrained language models of any kind."""

import keras_hub

from tf_tokenrl import importers
from tf_tokenrl.policies.causal import CausalPolicy
from tf_tokenrl.policies.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.policies.generative import GenerativePolicy


def policy(preset: str, **kwargs) -> GenerativePolicy:
    """The policy that a preset's architecture asks for.

    Args:
        preset: see `importers.load`.
        **kwargs: see `CausalPolicy.from_preset` and
            `EncoderDecoderPolicy.from_preset`.

    Raises:
        TokenRLError: there is no such preset or folder, or it cannot be
            decoded.
    """
    found = importers.load(preset)
    if isinstance(found.model, keras_hub.models.Seq2SeqLM):
        return EncoderDecoderPolicy.over(found, **kwargs)
    return CausalPolicy.over(found, **kwargs)
