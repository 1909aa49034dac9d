"""Folders that transformers wrote, by KerasHub's converters.

The converters leave some numbers of `config.json` at KerasHub's defaults; they
are set here, and what a backbone cannot compute is refused by its name.
"""

import inspect
import math
from pathlib import Path
from typing import Any

import keras_hub
import safetensors
from keras_hub.src.utils.transformers import preset_loader

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers import keras_hub_presets, tokenizer_files
from tf_tokenrl.importers.exact_bert import ExactBertBackbone
from tf_tokenrl.importers.pretrained import Pretrained
from tf_tokenrl.importers.tokenizer_files import json_file
from tf_tokenrl.importers.weights import Weights

_INDEX = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
# Buffers, heads of other tasks, and copies of what is tied.
_NEEDLESS = (
    r".*(rotary_emb\.inv_freq|\.attn\.bias|\.masked_bias|position_ids"
    r"|encoder\.embed_tokens\.weight|decoder\.embed_tokens\.weight)"
    r"|(cls|classifier|qa_outputs|score|lm_head|pooler|vocab_\w+)\..*"
    r"|.*pooler\..*"
)
_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
# What backbones without an argument for it add to a variance.
_FIXED_EPSILON = {
    "gpt2": 1e-5,
    "bart": 1e-5,
    "bert": 1e-12,
    "roberta": 1e-5,
    "distilbert": 1e-12,
}
_ACTIVATIONS = {
    "gpt2": ("gelu_new", "gelu_pytorch_tanh", "gelu_fast"),
    "bart": ("gelu",),
    "bert": ("gelu", "gelu_new", "gelu_pytorch_tanh"),
    "roberta": ("gelu",),
    "gemma": ("gelu_pytorch_tanh", "gelu", "gelu_new"),
    "gemma2": ("gelu_pytorch_tanh",),
    "gemma3_text": ("gelu_pytorch_tanh",),
    "llama": ("silu",),
    "mistral": ("silu",),
    "mixtral": ("silu",),
    "qwen2": ("silu",),
    "qwen3": ("silu",),
    "smollm3": ("silu",),
}


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
    backbone = build(config, weights)
    tokenizer = tokenizer_files.read(folder)
    if tokenizer is None:
        model = keras_hub_presets.load(str(folder))
        whole = type(model)(backbone, preprocessor=model.preprocessor)
        return Pretrained(whole, model.preprocessor.tokenizer, {})
    model = task(type(backbone), folder)(backbone)
    return Pretrained(model, tokenizer, prompting(folder, tokenizer))


def load_encoder(folder: str | Path) -> Pretrained:
    """An encoder with its tokenizer, for labels.

    Raises:
        TokenRLError: as for `load`.
    """
    folder = Path(folder)
    backbone = build(json_file(folder / "config.json"), open_weights(folder))
    tokenizer = tokenizer_files.read(folder)
    if tokenizer is None:
        tokenizer = keras_hub.models.Tokenizer.from_preset(str(folder))
    return Pretrained(backbone, tokenizer, {})


def build(config: dict, weights: Weights, needless: str = _NEEDLESS) -> Any:
    """A KerasHub backbone out of a `config.json` and its tensors.

    Args:
        config: what the file holds.
        weights: the tensors, by the names of transformers.
        needless: see `Weights.check`.

    Raises:
        TokenRLError: an unknown kind of model, a number that the backbone
            cannot take, or weights that do not fit.
    """
    kind = config["model_type"]
    config = _completed(config)
    try:
        loader = preset_loader.TransformersPresetLoader(weights.source, config)
        converter = loader.converter
        arguments = converter.convert_backbone_config(config)
    except (ValueError, KeyError, TypeError) as error:
        raise TokenRLError(
            f'Cannot build the model of "{weights.source}" (model_type '
            f"{kind}): {_reason(error)}"
        ) from error
    cls = converter.backbone_cls
    if kind == "llama":
        cls = keras_hub.models.LlamaBackbone
    if kind == "bert" and config.get("hidden_act", "gelu") == "gelu":
        cls = ExactBertBackbone
    arguments = _corrected(config, cls, arguments)
    backbone = cls(**arguments)
    converter.convert_weights(backbone, weights, config)
    weights.check(backbone, needless)
    return backbone


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
                f'Cannot read "{folder / name}" ({_reason(error)}): the file '
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
            f'Cannot read "{folder / _WHOLE}" ({_reason(error)}): the file is '
            "cut off or broken, copy it again."
        ) from error


def task(backbone_cls: type, folder: str | Path) -> type:
    """The KerasHub language model over a kind of backbone.

    Raises:
        TokenRLError: there is none.
    """
    for name in dir(keras_hub.models):
        cls = getattr(keras_hub.models, name)
        if (
            isinstance(cls, type)
            and issubclass(cls, keras_hub.models.CausalLM)
            and getattr(cls, "backbone_cls", None) is backbone_cls
        ):
            return cls
    raise TokenRLError(
        f'"{folder}" holds a {backbone_cls.__name__}, which writes no text: '
        "give the name of a language model."
    )


def _completed(config: dict) -> dict:
    """A configuration with what transformers takes for granted."""
    rope = config.get("rope_parameters") or {}
    scaling = config.get("rope_scaling")
    if scaling is None and rope.get("rope_type", "default") != "default":
        scaling = rope
    if scaling and scaling.get("rope_type", scaling.get("type")) == "default":
        scaling = None
    heads = config.get("num_attention_heads")
    taken = {
        "tie_word_embeddings": config.get("model_type") != "llama"
        and config.get("model_type") not in ("mistral", "mixtral", "qwen3"),
        "num_key_value_heads": heads,
        "rope_theta": 10000.0,
        "use_sliding_window": False,
        "sliding_window": None,
        "rms_norm_eps": 1e-6,
    }
    if heads and config.get("hidden_size"):
        taken["head_dim"] = config["hidden_size"] // heads
    given = {k: v for k, v in config.items() if v is not None}
    whole = {**taken, **given}
    if "rope_parameters" in whole and not rope:
        del whole["rope_parameters"]
    whole["rope_scaling"] = None
    return whole | {"_scaling": scaling}


def _corrected(config: dict, cls: type, arguments: dict) -> dict:
    """The arguments of a backbone with what the converter leaves out."""
    kind = config["model_type"]
    known = inspect.signature(cls).parameters
    _check_activation(config)
    if kind == "gpt2" and config.get("n_inner"):
        arguments["intermediate_dim"] = config["n_inner"]
    if kind == "qwen2":  # the converter names it otherwise than the backbone
        slides = arguments.pop("use_sliding_window", False)
        arguments["use_sliding_window_attention"] = slides
    given = [config[name] for name in _EPSILONS if name in config]
    if "layer_norm_epsilon" in known and given:
        arguments["layer_norm_epsilon"] = given[0]
    elif kind in _FIXED_EPSILON:
        _check("layer_norm_epsilon", config, _FIXED_EPSILON[kind])
    if kind in ("llama", "mistral", "qwen2", "qwen3"):
        for name in ("attention_bias", "mlp_bias"):
            _check(name, config, False)
    if kind in ("llama", "qwen2"):
        size = config["hidden_size"] // config["num_attention_heads"]
        _check("head_dim", config, size)
    return arguments | _scaled(config, known)


def _scaled(config: dict, known: Any) -> dict:
    """Rope scaling as the backbone's arguments."""
    scaling = config["_scaling"]
    if not scaling:
        return {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "llama3" and "rope_frequency_adjustment_factor" in known:
        names = {
            "rope_frequency_adjustment_factor": "factor",
            "rope_low_freq_factor": "low_freq_factor",
            "rope_high_freq_factor": "high_freq_factor",
            "rope_pretraining_sequence_length": (
                "original_max_position_embeddings"
            ),
        }
        return {name: scaling[key] for name, key in names.items()}
    for name in ("rope_position_scaling_factor", "rope_scaling_factor"):
        if kind == "linear" and name in known:
            return {name: scaling["factor"]}
    raise TokenRLError(
        f'The model scales its rotary positions by "{kind}", which this '
        f"{config['model_type']} backbone does not know."
    )


def _check_activation(config: dict) -> None:
    known = _ACTIVATIONS.get(config["model_type"])
    for name in ("hidden_act", "hidden_activation", "activation_function"):
        given = config.get(name)
        if known and given and given not in known:
            raise TokenRLError(
                f"The model's {name} is {given}, and the backbone of a "
                f"{config['model_type']} computes {known[0]}: it cannot be "
                "loaded."
            )


def _check(name: str, config: dict, value: Any) -> None:
    if config.get(name, value) != value:
        raise TokenRLError(
            f"The model's {name} is {config[name]}, and the backbone of a "
            f"{config['model_type']} computes {value}: it cannot be loaded."
        )


def _reason(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]
