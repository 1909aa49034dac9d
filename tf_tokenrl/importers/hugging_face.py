"""Folders that transformers wrote."""

import math
from pathlib import Path
from typing import Any

import keras_hub
import safetensors

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.importers.shared import converters, tokenizer_files
from tf_tokenrl.importers.shared.converters import reason
from tf_tokenrl.importers.shared.tokenizer_files import json_file
from tf_tokenrl.importers.shared.weights import Weights

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"


def is_folder(path: Path) -> bool:
    """Whether a folder is one that transformers wrote."""
    return "model_type" in json_file(path / "config.json")


def load(folder: str | Path) -> Pretrained:
    """A language model with its tokenizer and what its files say of prompts.

    Raises:
        TokenRLError: a file is missing or broken, or the model is of a kind
            that is not known here.
    """
    folder = Path(folder)
    config = json_file(folder / "config.json")
    weights = open_weights(folder)
    backbone = converters.build(config, weights)
    tokenizer = tokenizer_files.read(folder)
    if tokenizer is None:
        model = keras_hub.models.CausalLM.from_preset(
            str(folder), load_weights=False
        )
        whole = type(model)(backbone, preprocessor=model.preprocessor)
        return Pretrained(whole, model.preprocessor.tokenizer, {})
    model = converters.task(type(backbone), folder)(backbone)
    return Pretrained(model, tokenizer, prompting(folder, tokenizer))


def load_encoder(folder: str | Path) -> Pretrained:
    """An encoder with its tokenizer, for labels.

    Raises:
        TokenRLError: as for `load`.
    """
    folder = Path(folder)
    backbone = converters.build(
        json_file(folder / "config.json"), open_weights(folder)
    )
    tokenizer = tokenizer_files.read(folder)
    if tokenizer is None:
        tokenizer = keras_hub.models.Tokenizer.from_preset(str(folder))
    return Pretrained(backbone, tokenizer, {})


def open_weights(folder: Path) -> Weights:
    """The tensors of a folder's safetensors files.

    Raises:
        TokenRLError: there are none, a part of them is missing, or a file is
            broken.
    """
    files = _files(folder)
    opened: dict[str, Any] = {}
    for name in sorted(set(files.values())):
        try:
            opened[name] = safetensors.safe_open(folder / name, "np")
        except (safetensors.SafetensorError, OSError) as error:
            raise TokenRLError(
                f'Cannot read "{folder / name}" ({reason(error)}): the file '
                "is cut off or broken, copy it again."
            ) from error
    for name, file in files.items():
        if name not in opened[file].keys():  # noqa: SIM118
            raise TokenRLError(
                f'"{folder / _INDEX}" says that {name} is in {file}, where it '
                "is not: copy the model's folder again."
            )
    weights = Weights(folder, files, lambda n: opened[files[n]].get_tensor(n))
    shapes = [opened[f].get_slice(n).get_shape() for n, f in files.items()]
    weights.check_memory(sum(math.prod(shape) for shape in shapes))
    return weights


def prompting(folder: Path, tokenizer: Any) -> dict:
    """What a folder says of the tokens around prompts and answers."""
    config = json_file(folder / "config.json")
    generation = json_file(folder / "generation_config.json")
    given = [tokenizer.end_token_id]
    for source in (generation, config):
        ids = source.get("eos_token_id")
        given += ids if isinstance(ids, list) else [ids]
    stops = dict.fromkeys(int(i) for i in given if i is not None)
    start = tokenizer.start_token_id if tokenizer.starts else None
    return {"stop_ids": tuple(stops), "prompt_start_id": start}


def _files(folder: Path) -> dict[str, str]:
    """The file of each tensor."""
    index = json_file(folder / _INDEX).get("weight_map")
    if index is not None:
        missing = [f for f in index.values() if not (folder / f).is_file()]
        if missing:
            raise TokenRLError(
                f'"{folder}" lacks {missing[0]}, which its index names: copy '
                "the model's folder again."
            )
        return index
    if not (folder / _WHOLE).is_file():
        raise TokenRLError(
            f'"{folder}" has no weights ({_WHOLE}): copy the whole folder, or '
            "save the model as safetensors first."
        )
    try:
        with safetensors.safe_open(folder / _WHOLE, "np") as file:
            return dict.fromkeys(file.keys(), _WHOLE)
    except (safetensors.SafetensorError, OSError) as error:
        raise TokenRLError(
            f'Cannot read "{folder / _WHOLE}" ({reason(error)}): the file is '
            "cut off or broken, copy it again."
        ) from error
