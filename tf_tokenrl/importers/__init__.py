"""Foreign weights, one file per format; which one a path asks for is here."""

from pathlib import Path

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers import (
    gguf,
    hugging_face,
    keras_hub_presets,
    llama2_c,
)
from tf_tokenrl.importers.base import Pretrained


def load(preset: str) -> Pretrained:
    """A pretrained language model, by what lies at `preset`.

    Args:
        preset: a GGUF file or a folder with one, a
            llama2.c checkpoint (.bin), a folder that transformers
            or KerasHub wrote, or the name of a KerasHub preset.

    Raises:
        TokenRLError: there is no such model, or it cannot be read.
    """
    path = Path(preset)
    if path.is_dir() and hugging_face.is_folder(path):
        return hugging_face.load(path)
    files = sorted(path.glob("*.gguf")) if path.is_dir() else []
    if path.suffix == ".gguf" or len(files) == 1:
        return gguf.load(files[0] if files else path)
    if path.suffix == ".bin" and path.is_file():
        return llama2_c.load(path)
    if files:
        raise TokenRLError(
            f'"{path}" holds {len(files)} GGUF files: name the one to load.'
        )
    model = keras_hub_presets.load(preset)
    return Pretrained(model, model.preprocessor.tokenizer, {})


def load_encoder(preset: str) -> Pretrained:
    """A pretrained encoder, by what lies at `preset`, see `load`.

    Raises:
        TokenRLError: there is no such model, or it cannot be read.
    """
    path = Path(preset)
    if path.is_dir() and hugging_face.is_folder(path):
        return hugging_face.load_encoder(path)
    return keras_hub_presets.load_encoder(preset)
