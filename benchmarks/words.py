"""A language of made-up words: every word is one token, nothing is trained."""

from typing import Any

import keras_hub
import numpy as np
from sentencepiece import sentencepiece_model_pb2

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.tokenizer import PADDING, START, STOP, UNKNOWN

_SPECIAL = {PADDING: "<pad>", UNKNOWN: "<unk>", START: "<s>", STOP: "</s>"}
_SPACE = "\u2581"  # how SentencePiece writes it


schema: Any = sentencepiece_model_pb2  # its messages are made at import


def tokenizer(size: int) -> keras_hub.tokenizers.SentencePieceTokenizer:
    """A tokenizer of `size` ids: four special ones, then w4, w5, ...

    Raises:
        TokenRLError: there is no room for a word.
    """
    if size <= len(_SPECIAL):
        raise TokenRLError(
            f"A vocabulary of {size} has no words: give --vocabulary more "
            f"than {len(_SPECIAL)}."
        )
    model = schema.ModelProto()
    kinds = schema.ModelProto.SentencePiece
    for index in range(size):
        piece = _SPECIAL.get(index, f"{_SPACE}w{index}")
        kind = kinds.CONTROL if index in _SPECIAL else kinds.NORMAL
        kind = kinds.UNKNOWN if index == UNKNOWN else kind
        model.pieces.add(piece=piece, score=0.0, type=kind)
    specification = model.trainer_spec
    specification.model_type = schema.TrainerSpec.WORD
    specification.vocab_size = size
    specification.pad_id, specification.unk_id = PADDING, UNKNOWN
    specification.bos_id, specification.eos_id = START, STOP
    model.normalizer_spec.name = "identity"
    return keras_hub.tokenizers.SentencePieceTokenizer(
        proto=model.SerializeToString()
    )


def prompts(count: int, length: int, size: int, seed: int = 0) -> list[str]:
    """Texts of `length` words each, drawn evenly."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(len(_SPECIAL), size, (count, length))
    return [" ".join(f"w{i}" for i in row) for row in ids]


def lengths(count: int, stop: float, longest: int, seed: int = 0) -> np.ndarray:
    """Lengths of answers that stop after each token with probability `stop`.

    Returns:
        int32 `[count]`, at least 1 and at most `longest`; all `longest` where
        `stop` is 0.
    """
    if not stop:
        return np.full([count], longest, np.int32)
    drawn = np.random.default_rng(seed).geometric(stop, count)
    return np.minimum(drawn, longest).astype(np.int32)
