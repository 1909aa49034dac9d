"""SentencePiece models, from their own file or out of a `tokenizer.json`.

A `tokenizer.json` of Llama 2's kind (byte-pair over characters, bytes for
those that are unknown) becomes a SentencePiece model of equal pieces, see
`byte_level` for why its op merges alike. A SentencePiece file stands in a
`tokenizer.json` as `{"type": "SentencePiece", "proto": base64}`.

Source: Kudo and Richardson (2018), "SentencePiece".
"""

import base64
import re

import tensorflow as tf
import tensorflow_text

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.pretrained import merging

SPACE = "\u2581"  # how SentencePiece writes a space
_KINDS = merging.ModelProto.SentencePiece


class SentencePiece(tf.Module):
    """A SentencePiece model as a graph.

    Args:
        parsed: a `tokenizer.json`.

    Raises:
        TokenRLError: a part of it is not known here.
    """

    def __init__(self, parsed: dict):
        super().__init__()
        added = parsed.get("added_tokens") or []
        if parsed["model"]["type"] == "SentencePiece":
            proto = _read(parsed["model"]["proto"])
            self._prefix = parsed["model"].get("prefix", "model")
        else:
            proto = _converted(parsed["model"], added)
            self._prefix = _prefix(parsed)
        adds = proto.normalizer_spec.add_dummy_prefix
        self._strips = adds or self._prefix in ("always", "first")
        if self._prefix != "model":  # the graph adds it where it belongs
            proto.normalizer_spec.add_dummy_prefix = False
        self.tokens = tuple(piece.piece for piece in proto.pieces)
        self._bytes = tuple(_texts(proto, parsed["model"], added))
        self._text = tensorflow_text.SentencepieceTokenizer(
            proto.SerializeToString(), out_type=tf.int32
        )

    def encode(self, pieces: tf.Tensor, first: tf.Tensor) -> tf.RaggedTensor:
        """String `[N]` -> ragged int32 `[N, L]`.

        Args:
            pieces: texts between control tokens.
            first: bool `[N]`, whether a piece begins its prompt.
        """
        if self._prefix in ("always", "first"):
            gets = pieces != ""
            gets &= first if self._prefix == "first" else True
            pieces = tf.where(gets, " " + pieces, pieces)
        return self._text.tokenize(pieces)

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Ragged int32 `[B, L]` -> string `[B]`."""
        text = merging.joined(ids, self._bytes)
        return (
            tf.strings.regex_replace(text, r"\A ", "")
            if (self._strips)
            else text
        )


def _read(encoded: str):
    try:
        return merging.ModelProto.FromString(base64.b64decode(encoded))
    except Exception as error:  # protobuf's own kind of error
        raise TokenRLError(
            f"The SentencePiece model cannot be read: {error}"
        ) from error


def _prefix(parsed: dict) -> str:
    """Which pieces get a space in front: "always", "first" or "never"."""
    normalizer = parsed.get("normalizer") or {}
    steps = normalizer.get("normalizers", [normalizer])
    if any(step.get("type") == "Prepend" for step in steps):
        return "always"
    cuts = parsed.get("pre_tokenizer") or {}
    for step in cuts.get("pretokenizers", [cuts]):
        if step.get("type") == "Metaspace":
            adds = step.get("add_prefix_space", True)
            return step.get("prepend_scheme", "always" if adds else "never")
    return "never"


def _converted(model: dict, added: list[dict]):
    """The model of a byte-pair `tokenizer.json` with bytes to fall back on."""
    vocabulary = model["vocab"]
    scores = merging.scores(vocabulary, model["merges"], byte_fallback=True)
    tokens = {i: token for token, i in vocabulary.items()}
    control = {t["id"]: t["content"] for t in added}
    proto = merging.ModelProto()
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.normalizer_spec.precompiled_charsmap = merging.idle_normalisation()
    proto.normalizer_spec.remove_extra_whitespaces = False
    for i in range(1 + max([*tokens, *control])):
        token = tokens.get(i, control.get(i, ""))
        kind = _KINDS.NORMAL
        if token == (model.get("unk_token") or control.get(0)):
            kind = _KINDS.UNKNOWN
        elif re.fullmatch(r"<0x[0-9A-F]{2}>", token):
            kind = _KINDS.BYTE
        elif i in control:
            kind = _KINDS.CONTROL
        elif token not in scores:
            # No merges lead to it: stands under a name that no text has.
            token = f"\ue000{i}"
        score = scores.get(token, 0.0)
        proto.pieces.add(piece=token, score=score, type=kind)
    return proto


def _texts(proto, model: dict, added: list[dict]) -> list[bytes]:
    """What each id adds to a decoded text."""
    names = {i: token for token, i in model.get("vocab", {}).items()}
    texts = []
    for i, piece in enumerate(proto.pieces):
        if piece.type == _KINDS.BYTE:
            texts.append(bytes([int(piece.piece[3:5], 16)]))
        elif piece.type in (_KINDS.CONTROL, _KINDS.UNUSED):
            texts.append(b"")
        else:
            token = names.get(i, piece.piece)
            texts.append(token.replace(SPACE, " ").encode())
    for token in added:
        texts += [b""] * (token["id"] + 1 - len(texts))
        shown = b"" if token["special"] else token["content"].encode()
        texts[token["id"]] = shown
    return texts
