"""What stands under a KerasHub model: its layers as functions of weights.

One file per architecture. Each tells the passes in `layers` how to embed
tokens at given positions, how a layer makes queries, keys and values, and
what it does with what was attended to; the decoder of an encoder-decoder
tells two things more: how a layer remembers the prompt, and what it asks of
it. Weights go by role (`linear`). Backbones without a file here are decoded
through KerasHub's own cache and read by their own forward pass.
"""

import functools
import logging
from typing import Any

import keras_hub

from tf_tokenrl.backbones.bart import Bart
from tf_tokenrl.backbones.encoder import Encoder
from tf_tokenrl.backbones.gpt2 import Gpt2
from tf_tokenrl.backbones.llama import Llama
from tf_tokenrl.backbones.transformer import Transformer

logger = logging.getLogger(__name__)

_models = keras_hub.models
_BY_BACKBONE: dict[type, Any] = {
    _models.BartBackbone: Bart,
    _models.BertBackbone: Encoder,
    _models.DistilBertBackbone: Encoder,
    _models.GPT2Backbone: Gpt2,
    _models.Llama3Backbone: Llama,
    _models.LlamaBackbone: Llama,
    _models.MistralBackbone: Llama,
    _models.QwenBackbone: Llama,
    _models.Qwen3Backbone: Llama,
    _models.RobertaBackbone: Encoder,
    _models.XLMRobertaBackbone: Encoder,
}


def find(backbone, longest: int) -> Transformer | None:
    """A backbone as functions and leaves, or None where we know none.

    Args:
        backbone: of KerasHub. Only exact classes count: a subclass may
            change what its layers do.
        longest: the most tokens that are ever read as one text.
    """
    if reason_against(backbone, longest):
        return None
    architecture = _BY_BACKBONE[type(backbone)].of(backbone)
    return Transformer(architecture, architecture.read(backbone))


def reason_against(backbone, longest: int) -> str:
    """Why a backbone is read and decoded by its own code, which is slow.

    Returns:
        A sentence without its subject; "" where there is no reason.
    """
    if type(backbone) not in _BY_BACKBONE:
        return "its layers are not among those that tf_tokenrl can decode"
    window = _window(backbone)
    if window is not None and longest > window:
        return (
            f"its attention has a window of {window} tokens, and prompt and "
            f"answer may have {longest}"
        )
    rotary = _rotary(backbone)
    if rotary is not None and rotary.rope_type != "linear":
        return f'its rotary positions are of the type "{rotary.rope_type}"'
    return ""


def tell_slow(backbone, longest: int) -> None:
    """Log once that a kind of backbone takes the slow way, and why."""
    if reason := reason_against(backbone, longest):
        _tell(type(backbone).__name__, reason)


@functools.cache
def _tell(name: str, reason: str) -> None:
    logger.warning(
        "%s is read and decoded by KerasHub, about half as fast as other "
        "models are: %s.",
        name,
        reason,
    )


def _window(backbone) -> int | None:
    """How many tokens a layer's attention reaches back; None is all."""
    if isinstance(backbone, _models.MistralBackbone):
        return backbone.sliding_window
    if isinstance(backbone, _models.QwenBackbone):
        limited = backbone.use_sliding_window_attention
        return backbone.sliding_window_size if limited else None
    return None


def _rotary(backbone):
    layer = getattr(backbone, "transformer_layers", [None])[0]
    attention = getattr(layer, "_self_attention_layer", None)
    return getattr(attention, "rotary_embedding_layer", None)
