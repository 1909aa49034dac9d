"""Pretrained language models, by name or out of a folder."""

import keras_hub

from tf_tokenrl.errors import TokenRLError


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
        reason = str(error).strip().split("\n")[0]
        raise TokenRLError(
            f'Cannot load the preset "{preset}": {reason} Give the name '
            "of a KerasHub language model or a folder that holds one."
        ) from error
