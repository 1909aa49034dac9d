"""The tokenizer inside a GGUF file."""

import base64
import json
from typing import Any

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.text.pretrained import merging, splits
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4  # kinds of tokens in GGUF
_ROLES = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
}


def read(metadata: Any) -> PretrainedTokenizer:
    """The tokenizer of a file.

    Args:
        metadata: the file's `Metadata`.

    Raises:
        TokenRLError: there is none, or it is of a kind not known here.
    """
    tokens = metadata.get("tokenizer.ggml.tokens")
    if tokens is None:
        raise TokenRLError(
            f'"{metadata.path}" has no tokenizer: take a whole model.'
        )
    kinds = metadata.get("tokenizer.ggml.token_type", [1] * len(tokens))
    model = metadata.get("tokenizer.ggml.model")
    if model == "gpt2":
        definition = _byte_level(metadata, tokens)
    elif model == "llama":
        definition = _sentence_piece(metadata, tokens, kinds)
    else:
        raise unknown("tokenizer of a GGUF file", str(model), _READERS)
    definition["added_tokens"] = [
        {"id": i, "content": token, "special": kind == _CONTROL}
        | dict.fromkeys(
            ("single_word", "lstrip", "rstrip", "normalized"), False
        )
        for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if kind == _CONTROL or (kind == _USER_DEFINED and model == "gpt2")
    ]
    return PretrainedTokenizer(
        json.dumps(definition, ensure_ascii=False),
        _special(metadata, tokens),
        starts=_starts(metadata),
        chat_template=metadata.get("tokenizer.chat_template"),
    )


def prompting(metadata: Any) -> dict:
    """What a file says of the tokens around prompts and answers."""
    names = ("eos", "eot", "eom")
    keys = [f"tokenizer.ggml.{name}_token_id" for name in names]
    ids = [metadata.get(key) for key in keys]
    stops = dict.fromkeys(int(i) for i in ids if i is not None)
    start = metadata.get("tokenizer.ggml.bos_token_id")
    return {
        "stop_ids": tuple(stops),
        "prompt_start_id": start if _starts(metadata) else None,
    }


_READERS = ("gpt2", "llama")


def _byte_level(metadata: Any, tokens: list[str]) -> dict:
    merges = metadata.get("tokenizer.ggml.merges")
    name = metadata.get("tokenizer.ggml.pre")
    if merges is None or name is None:
        raise TokenRLError(
            f'"{metadata.path}" does not say how its byte-pair tokenizer '
            f"{'merges' if merges is None else 'cuts text'}: it was written by "
            "an old program, take a newer file."
        )
    kind = splits.of_name(name)
    return {
        "version": "1.0",
        "normalizer": {"type": "NFC"} if kind == "qwen2" else None,
        "pre_tokenizer": splits.as_json(kind),
        "decoder": splits.DECODER,
        "model": {
            "type": "BPE",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": merges,
            "ignore_merges": kind == "llama3",
        },
    }


def _sentence_piece(metadata: Any, tokens: list, kinds: list) -> dict:
    scores = metadata.get("tokenizer.ggml.scores", [0.0] * len(tokens))
    proto = merging.ModelProto()
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.precompiled_charsmap = merging.idle_normalisation()
    proto.normalizer_spec.remove_extra_whitespaces = bool(
        metadata.get("tokenizer.ggml.remove_extra_whitespaces", False)
    )
    proto.normalizer_spec.add_dummy_prefix = bool(
        metadata.get("tokenizer.ggml.add_space_prefix", True)
    )
    for token, score, kind in zip(tokens, scores, kinds, strict=True):
        # The kinds are numbered as SentencePiece numbers them.
        proto.pieces.add(piece=token, score=score, type=kind)
    encoded = base64.b64encode(proto.SerializeToString()).decode()
    return {"model": {"type": "SentencePiece", "proto": encoded}}


def _special(metadata: Any, tokens: list[str]) -> dict[str, str]:
    ids = {
        role: metadata.get(f"tokenizer.ggml.{name}_token_id")
        for role, name in _ROLES.items()
    }
    return {
        role: tokens[i]
        for role, i in ids.items()
        if i is not None and i < len(tokens)
    }


def _starts(metadata: Any) -> bool:
    """Whether raw text gets a start token; by kind where the file is silent."""
    given = metadata.get("tokenizer.ggml.add_bos_token")
    if given is not None:
        return bool(given)
    if metadata.get("tokenizer.ggml.bos_token_id") is None:
        return False
    if metadata.get("tokenizer.ggml.model") == "llama":
        return True
    return splits.NAMES.get(metadata.get("tokenizer.ggml.pre")) == "llama3"
