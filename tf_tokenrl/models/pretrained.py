"""Policies over pretrained language models of any kind."""

import keras_hub

from tf_tokenrl.models import presets
from tf_tokenrl.models.causal import CausalPolicy
from tf_tokenrl.models.encoder_decoder import EncoderDecoderPolicy
from tf_tokenrl.models.generative import GenerativePolicy


def policy(preset: str, **kwargs) -> GenerativePolicy:
    """The policy that a preset's architecture asks for.

    Args:
        preset: see `presets.load`.
        **kwargs: see `CausalPolicy.from_preset` and
            `EncoderDecoderPolicy.from_preset`.

    Raises:
        TokenRLError: there is no such preset or folder, or it cannot be
            decoded.
    """
    model = presets.load(preset)
    if isinstance(model, keras_hub.models.Seq2SeqLM):
        return EncoderDecoderPolicy.over(model, **kwargs)
    return CausalPolicy.over(model, **kwargs)
