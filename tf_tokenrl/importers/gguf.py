"""GGUF files, quantized or not, into KerasHub backbones.

Tensors are brought into the form that transformers' folders have, one by one,
and go the way of `converters` from there on. What a file's converter has
folded into the weights is taken out again:

    llama     rows of query and key are in the order of the interleaved
              rotary form
    gemma3    every norm holds 1 + w
    gpt2      matrices are [out, in], where transformers has [in, out]

Source: the GGUF specification of the ggml project.
"""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.importers.shared import converters, gguf_tokenizer
from tf_tokenrl.importers.shared.gguf_names import (
    MODEL_TYPES,
    hugging_face_name,
)
from tf_tokenrl.importers.shared.rotary import rotate_half
from tf_tokenrl.importers.shared.weights import Weights

_DIVISORS = "rope_freqs.weight"
_LLAMA3 = (1.0, 4.0, 8192)  # low and high frequency factor, positions


class Metadata:
    """The keys of a GGUF file.

    Args:
        path: the file.

    Raises:
        TokenRLError: there is no such file, it is not GGUF, or is cut off.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self.reader = gguf.GGUFReader(path)
        except Exception as error:  # the package checks little by itself
            raise TokenRLError(
                f'Cannot read "{path}" as GGUF ({converters.reason(error)}): '
                "the file is cut off or of another format, copy it again."
            ) from error
        self.architecture = str(self.get("general.architecture"))
        if self.architecture not in MODEL_TYPES:
            raise unknown(
                "architecture of a GGUF file", self.architecture, MODEL_TYPES
            )

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; `default` where the file lacks it."""
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    def own(self, key: str, default: Any = None) -> Any:
        """The value of a key of the architecture.

        Raises:
            TokenRLError: it is missing and there is no default.
        """
        value = self.get(f"{self.architecture}.{key}", default)
        if value is None:
            raise TokenRLError(
                f'"{self.path}" lacks the key {self.architecture}.{key}: it is '
                "not a complete model."
            )
        return value


def load(path: str | Path) -> Pretrained:
    """A language model out of a GGUF file.

    Args:
        path: the file; of a model in several, join them first.

    Raises:
        TokenRLError: the file is broken, or its architecture, quantization,
            tokenizer or rotary scaling is not known here.
    """
    metadata = Metadata(Path(path))
    config = _config(metadata)
    weights = _weights(metadata, config)
    tokenizer = gguf_tokenizer.read(metadata)
    if tokenizer.vocabulary_size() > config["vocab_size"]:
        raise TokenRLError(
            f'"{path}" has {config["vocab_size"]} embeddings and '
            f"{tokenizer.vocabulary_size()} tokens: its tokenizer is not that "
            "of its weights."
        )
    backbone = converters.build(config, weights, needless="")
    model = converters.task(type(backbone), path)(backbone)
    return Pretrained(model, tokenizer, gguf_tokenizer.prompting(metadata))


def _config(metadata: Metadata) -> dict:
    """The `config.json` that stands for a file's keys."""
    own = metadata.own
    heads = own("attention.head_count")
    shapes = {t.name: t.shape for t in metadata.reader.tensors}
    if "token_embd.weight" not in shapes:
        raise TokenRLError(
            f'"{metadata.path}" has no token embedding: it is not a model.'
        )
    config = {
        "model_type": MODEL_TYPES[metadata.architecture],
        "architectures": ["from GGUF"],
        "vocab_size": int(shapes["token_embd.weight"][1]),
        "tie_word_embeddings": "output.weight" not in shapes,
        "hidden_size": own("embedding_length"),
        "num_hidden_layers": own("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": own("attention.head_count_kv", heads),
        "intermediate_size": own("feed_forward_length"),
        "max_position_embeddings": own("context_length"),
    }
    config["head_dim"] = own(
        "attention.key_length", config["hidden_size"] // heads
    )
    if metadata.architecture == "gpt2":
        return config | _gpt2(metadata, config)
    config["rms_norm_eps"] = float(
        f"{own('attention.layer_norm_rms_epsilon'):.6g}"  # it is a float32
    )
    config["rope_theta"] = float(own("rope.freq_base", 10000.0))
    config["rope_scaling"] = _scaling(metadata, config)
    if metadata.architecture == "gemma3":
        config |= _gemma3(metadata, config)
    return config


def _gpt2(metadata: Metadata, config: dict) -> dict:
    return {
        "n_layer": config["num_hidden_layers"],
        "n_head": config["num_attention_heads"],
        "n_embd": config["hidden_size"],
        "n_inner": config["intermediate_size"],
        "n_positions": config["max_position_embeddings"],
        "resid_pdrop": 0.0,
        "layer_norm_epsilon": float(
            f"{metadata.own('attention.layer_norm_epsilon'):.6g}"
        ),
    }


def _gemma3(metadata: Metadata, config: dict) -> dict:
    """What Gemma 3 has more than others: windows in five of six layers."""
    scaling = config["rope_scaling"] or {"rope_type": "default"}
    return {
        "rope_scaling": None,
        "rope_parameters": {
            "full_attention": scaling | {"rope_theta": config["rope_theta"]},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
        "sliding_window": metadata.own("attention.sliding_window"),
        # The largest of the family scales queries by its width.
        "query_pre_attn_scalar": config["hidden_size"]
        // config["num_attention_heads"]
        if config["num_hidden_layers"] == 62
        else config["head_dim"],
        "hidden_activation": "gelu_pytorch_tanh",
    }


def _scaling(metadata: Metadata, config: dict) -> dict | None:
    """Rotary scaling, from its keys or from a tensor of divisors."""
    divisors = [t for t in metadata.reader.tensors if t.name == _DIVISORS]
    if divisors:
        return _llama3(metadata, divisors[0], config)
    kind = metadata.own("rope.scaling.type", "none")
    if kind == "none":
        return None
    return {
        "rope_type": kind,
        "factor": float(metadata.own("rope.scaling.factor")),
    }


def _llama3(metadata: Metadata, tensor: Any, config: dict) -> dict:
    """The scaling of Llama 3 that gives these divisors."""
    given = np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type))
    low, high, positions = _LLAMA3
    factor = float(given.max())
    size = 2 * len(given)
    waves = 2 * np.pi * config["rope_theta"] ** (np.arange(0, size, 2) / size)
    smooth = (positions / waves - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    right = np.where(waves > positions / low, factor, between)
    right = np.where(waves < positions / high, 1.0, right)
    if not np.allclose(given, right, rtol=1e-3):
        raise TokenRLError(
            f'"{metadata.path}" divides its rotary frequencies by '
            f"{_DIVISORS}, but not as Llama 3 does: this is not known here."
        )
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": positions,
    }


def _weights(metadata: Metadata, config: dict) -> Weights:
    """The tensors by transformers' names, each unpacked when it is read."""
    tensors = {
        hugging_face_name(metadata.architecture, tensor.name): tensor
        for tensor in metadata.reader.tensors
        if tensor.name != _DIVISORS
    }

    def read(name: str) -> np.ndarray:
        tensor = tensors[name]
        try:
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
        except NotImplementedError as error:
            raise TokenRLError(
                f'The tensor {tensor.name} of "{metadata.path}" is quantized '
                f"as {tensor.tensor_type.name}, which cannot be unpacked: "
                "take a file of another quantization."
            ) from error
        return _unfolded(metadata.architecture, tensor.name, values, config)

    weights = Weights(metadata.path, tensors, read)
    weights.check_memory(sum(int(t.n_elements) for t in tensors.values()))
    return weights


def _unfolded(
    architecture: str, name: str, values: np.ndarray, config: dict
) -> np.ndarray:
    """A tensor as transformers stores it."""
    if architecture == "gemma3" and name.endswith("norm.weight"):
        return values - 1.0
    matrix = values.ndim == 2 and name.startswith("blk.")
    if architecture == "gpt2" and matrix:
        return values.T
    if architecture == "llama" and name.endswith("attn_q.weight"):
        return rotate_half(values, config["num_attention_heads"])
    if architecture == "llama" and name.endswith("attn_k.weight"):
        return rotate_half(values, config["num_key_value_heads"])
    return values
