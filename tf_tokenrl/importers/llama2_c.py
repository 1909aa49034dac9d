"""Checkpoints of llama2.c, version 0: a Llama in one file without a header.

The file holds seven int32 (width, inner width, layers, heads, key heads,
vocabulary, positions), then float32 matrices. A negative vocabulary says that
the output has a matrix of its own. The tokenizer lies in a file beside it:
int32 longest, then of each token float32 score, int32 length and its bytes.

Source: Karpathy (2023), llama2.c.
"""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.importers.base import Pretrained
from tf_tokenrl.importers.shared import converters
from tf_tokenrl.importers.shared.gguf_names import hugging_face_name
from tf_tokenrl.importers.shared.rotary import rotate_half
from tf_tokenrl.importers.shared.weights import Weights
from tf_tokenrl.text.pretrained import merging
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer

_HEADER = struct.Struct("<7i")
_ROLES = {0: "unk_token", 1: "bos_token", 2: "eos_token"}
_NAMES = ("<unk>", "<s>", "</s>")


def load(path: str | Path) -> Pretrained:
    """A model and its tokenizer, the only `tok*.bin` beside it.

    Raises:
        TokenRLError: a file is missing, cut off or of another format.
    """
    path = Path(path)
    sizes = np.fromfile(path, np.int32, 7)
    if len(sizes) < 7 or not 0 < sizes[0] < 1 << 20 or sizes[2] < 1:
        raise TokenRLError(
            f'"{path}" is not a checkpoint of llama2.c, version 0.'
        )
    config = _config(*map(int, sizes))
    tensors = _tensors(path, config)
    weights = Weights(path, tensors, lambda name: tensors[name])
    backbone = converters.build(config, weights, needless="")
    model = converters.task(type(backbone), path)(backbone)
    tokenizer = _tokenizer(path, config["vocab_size"])
    # Stories were parted by the start token in training, too.
    options: dict[str, Any] = {"stop_ids": (2, 1), "prompt_start_id": 1}
    return Pretrained(model, tokenizer, options)


def _config(width, inner, layers, heads, keys, vocabulary, positions) -> dict:
    return {
        "model_type": "llama",
        "architectures": ["from llama2.c"],
        "vocab_size": abs(vocabulary),
        "tie_word_embeddings": vocabulary > 0,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": keys,
        "max_position_embeddings": positions,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
    }


def _tensors(path: Path, config: dict) -> dict[str, np.ndarray]:
    """The tensors by transformers' names; views of the file until read."""
    numbers = np.memmap(path, np.float32, "r", offset=_HEADER.size)
    width, inner = config["hidden_size"], config["intermediate_size"]
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    keys, size = config["num_key_value_heads"], width // heads
    place, found = 0, {}

    def take(*shape: int) -> np.ndarray:
        nonlocal place
        count = int(np.prod(shape))
        part = numbers[place : place + count]
        if len(part) < count:
            raise TokenRLError(f'"{path}" is cut off: copy it again.')
        place += count
        return part.reshape(shape)

    found["token_embd"] = take(config["vocab_size"], width)
    for name, shape in (
        ("attn_norm", (width,)),
        ("attn_q", (width, width)),
        ("attn_k", (keys * size, width)),
        ("attn_v", (keys * size, width)),
        ("attn_output", (width, width)),
        ("ffn_norm", (width,)),
        ("ffn_gate", (inner, width)),
        ("ffn_down", (width, inner)),
        ("ffn_up", (inner, width)),
    ):
        rows = {"attn_q": heads, "attn_k": keys}.get(name)
        for layer, part in enumerate(take(layers, *shape)):
            turned = rotate_half(part, rows) if rows else part
            found[f"blk.{layer}.{name}"] = turned
    found["output_norm"] = take(width)
    take(2, config["max_position_embeddings"], size // 2)  # rotary tables
    if not config["tie_word_embeddings"]:
        found["output"] = take(config["vocab_size"], width)
    return {
        hugging_face_name("llama", f"{name}.weight"): part
        for name, part in found.items()
    }


def _tokenizer(path: Path, size: int) -> PretrainedTokenizer:
    files = sorted(path.parent.glob("tok*.bin"))
    if len(files) != 1:
        raise TokenRLError(
            f'"{path.parent}" holds {len(files)} files tok*.bin: leave the one '
            "tokenizer of the model there."
        )
    proto = merging.ModelProto()
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.precompiled_charsmap = merging.idle_normalisation()
    proto.normalizer_spec.remove_extra_whitespaces = False
    kinds = merging.ModelProto.SentencePiece
    for i, (text, score) in enumerate(_pieces(files[0], size)):
        kind = kinds.BYTE if 3 <= i < 259 else kinds.NORMAL
        kind = (
            (kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL)[i]
            if i < 3
            else (kind)
        )
        name = _NAMES[i] if i < 3 else text.replace(" ", "\u2581")
        proto.pieces.add(piece=name, score=score, type=kind)
    encoded = base64.b64encode(proto.SerializeToString()).decode()
    added = [
        {"id": i, "content": name, "special": True}
        for i, name in enumerate(_NAMES)
    ]
    model = {"type": "SentencePiece", "proto": encoded}
    definition = json.dumps({"model": model, "added_tokens": added})
    special = {role: _NAMES[i] for i, role in _ROLES.items()}
    return PretrainedTokenizer(definition, special, starts=True)


def _pieces(path: Path, size: int) -> list[tuple[str, float]]:
    data, place, found = path.read_bytes(), 4, []
    try:
        for _ in range(size):
            score, length = struct.unpack_from("<fi", data, place)
            text = data[place + 8 : place + 8 + length].decode()
            found.append((text, score))
            place += 8 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise TokenRLError(
            f'"{path}" is not a tokenizer of {size} tokens: copy it again.'
        ) from error
    return found
