"""Pretrained language models, by name or out of a folder."""

import keras_hub

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained


def load(preset: str):
    """A `keras_hub.models.CausalLM`, of which `Seq2SeqLM`s are a kind.

    Args:
        preset: a KerasHub preset name or a local folder, either of KerasHub's
            or of Hugging Face's making.

    Raises:
        TokenRLError: there is no such preset or folder.
    """
    try:
        return keras_hub.models.CausalLM.from_preset(preset)
    except (ValueError, OSError, KeyError) as error:
        raise _cannot(preset, "language model", error) from error


def load_encoder(preset: str) -> Pretrained:
    """A `keras_hub.models.Backbone` that reads, and its tokenizer.

    Args:
        preset: see `load`.

    Raises:
        TokenRLError: there is no such preset or folder.
    """
    try:
        encoder = keras_hub.models.Backbone.from_preset(preset)
        tokenizer = keras_hub.models.Tokenizer.from_preset(preset)
    except (ValueError, OSError, KeyError) as error:
        raise _cannot(preset, "encoder", error) from error
    return Pretrained(encoder, tokenizer, {})


def _cannot(preset: str, kind: str, error: Exception) -> TokenRLError:
    reason = str(error).strip().split("\n")[0]
    return TokenRLError(
        f'Cannot load the preset "{preset}": {reason} Give the name of a '
        f"KerasHub {kind} or a folder that holds one."
    )
