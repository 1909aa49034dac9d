"""KerasHub's converters of transformers' models, with what they leave out.

The converters leave some numbers of `config.json` at KerasHub's defaults; they
are set here, and what a backbone cannot compute is refused by its name.
"""

import inspect
from pathlib import Path
from typing import Any

import keras_hub
from keras_hub.src.utils.transformers import preset_loader

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.shared.exact_bert import ExactBertBackbone
from tf_tokenrl.importers.shared.weights import Weights

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
            f"{kind}): {reason(error)}"
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


def reason(error: BaseException) -> str:
    """What an error says, in one line."""
    return str(error).strip().split("\n")[0]
