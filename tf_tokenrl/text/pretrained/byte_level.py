"""Byte-pair encoding over bytes.

The bytes of a word travel as the characters U+0000 to U+00FF through
SentencePiece's op; `merging` says why it merges as the original does.

Source: Radford et al. (2019), "Language Models are Unsupervised Multitask
Learners".
"""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_text

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.pretrained import merging, splits

_CUT = b"\xff"  # stands between words; no UTF-8 text contains it
_UNUSED = ("continuing_subword_prefix", "end_of_word_suffix", "dropout")


class ByteLevel(tf.Module):
    """A byte-level `tokenizer.json` as a graph.

    Args:
        parsed: the file.

    Raises:
        TokenRLError: a part of it is not known here.
    """

    def __init__(self, parsed: dict):
        super().__init__()
        model = parsed["model"]
        _check(model)
        self.passes = splits.passes(splits.of_json(parsed["pre_tokenizer"]))
        self._prefix_space = _prefix_space(parsed["pre_tokenizer"])
        self._form = _normal_form(parsed.get("normalizer"))
        vocabulary = model["vocab"]
        added = parsed.get("added_tokens") or []
        size = 1 + max(*vocabulary.values(), *(t["id"] for t in added), 0)
        tokens = [""] * size
        for token, i in vocabulary.items():
            tokens[i] = token
        # TensorFlow watches lists of a module, at a price for each change.
        self.tokens = tuple(tokens)
        scores = merging.scores(vocabulary, model["merges"])
        pieces = {
            text.decode("latin-1"): score
            for token, score in scores.items()
            if (text := spelled(token)) is not None
        }
        self._merge = tensorflow_text.SentencepieceTokenizer(
            _model(pieces), out_type=tf.int32
        )
        known = [t for t in scores if spelled(t) is not None]
        self._ids = np.array([-1, *(vocabulary[t] for t in known)], np.int32)
        self._whole = None
        if model.get("ignore_merges"):
            self._whole = _words(
                {t: i for t, i in vocabulary.items() if t not in scores}
            )
        self._bytes = tuple(_texts(tokens, added))

    def encode(self, pieces: tf.Tensor, first=None) -> tf.RaggedTensor:
        """String `[N]` -> ragged int32 `[N, L]`."""
        words = self._cut(pieces)
        letters = tf.strings.unicode_transcode(
            words.flat_values, "ISO-8859-1", "UTF-8"
        )
        merged = self._merge.tokenize(letters)
        ids = merged.with_flat_values(
            tf.gather(tf.constant(self._ids), merged.flat_values)
        )
        if self._whole is not None:
            found = self._whole.lookup(words.flat_values)
            ids = _kept_whole(found, ids)
        # Bytes that the vocabulary lacks are dropped, as the original does.
        ids = tf.ragged.boolean_mask(ids, ids >= 0)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Ragged int32 `[B, L]` -> string `[B]`."""
        return merging.joined(ids, self._bytes)

    def _cut(self, pieces: tf.Tensor) -> tf.RaggedTensor:
        """The words of each piece: string `[N]` -> ragged `[N, W]`."""
        if self._form:
            pieces = tensorflow_text.normalize_utf8(pieces, self._form)
        if self._prefix_space:
            pieces = tf.strings.regex_replace(pieces, r"\A([^ ])", r" \1")
        for expression in self.passes:
            # No expression matches across a mark: it is no character.
            pieces = tf.strings.regex_replace(
                pieces, f"({expression})", _CUT + rb"\1" + _CUT
            )
        words = tf.strings.split(pieces, _CUT)
        return tf.ragged.boolean_mask(words, words != "")


def _kept_whole(found: tf.Tensor, ids: tf.RaggedTensor) -> tf.RaggedTensor:
    """Ids of words that are tokens although no merges lead to them.

    Args:
        found: int32 `[W]`, the id of such a word, -1 of all others.
        ids: of all words, ragged `[W, L]`.
    """
    whole = found >= 0
    kept = tf.RaggedTensor.from_row_lengths(
        tf.boolean_mask(found, whole), tf.cast(whole, tf.int64)
    )
    others = ids.with_flat_values(tf.repeat(~whole, ids.row_lengths()))
    return tf.concat([kept, tf.ragged.boolean_mask(ids, others)], axis=1)


@functools.cache
def letters() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for."""
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printed]
    table = {chr(b): b for b in printed}
    return table | {chr(256 + n): b for n, b in enumerate(others)}


def spelled(token: str) -> bytes | None:
    """The bytes of a token; None where it is not spelled in bytes."""
    table = letters()
    if not all(character in table for character in token):
        return None
    return bytes(table[character] for character in token)


def _check(model: dict) -> None:
    used = [name for name in _UNUSED if model.get(name)]
    if used:
        raise TokenRLError(
            f"The tokenizer's model sets {' and '.join(used)}, which is not "
            "known here for byte-pair encoding."
        )


def _prefix_space(pre_tokenizer: dict | None) -> bool:
    given = pre_tokenizer or {}
    steps = given.get("pretokenizers", [given])
    return any(step.get("add_prefix_space") for step in steps)


def _normal_form(normalizer: dict | None) -> str:
    kind = (normalizer or {}).get("type", "")
    steps = (normalizer or {}).get("normalizers")
    if steps is not None and not steps:
        return ""
    if kind not in ("", "NFC", "NFD", "NFKC", "NFKD"):
        raise TokenRLError(
            f'The tokenizer normalises text by "{kind}", which is not known '
            "here for byte-pair encoding."
        )
    return kind


def _model(pieces: dict[str, float]) -> bytes:
    model = merging.ModelProto()
    kinds = merging.ModelProto.SentencePiece
    model.trainer_spec.model_type = model.trainer_spec.BPE
    model.normalizer_spec.precompiled_charsmap = merging.idle_normalisation()
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    model.normalizer_spec.escape_whitespaces = False
    # An unknown piece must exist; no text contains this one.
    model.pieces.add(piece="\ue000", type=kinds.UNKNOWN)
    for piece, score in pieces.items():
        model.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    return model.SerializeToString()


def _words(whole: dict[str, int]):
    """Words that are tokens although no merges lead to them, as a table."""
    rows = {text: i for t, i in whole.items() if (text := spelled(t))}
    if not rows:
        return None
    return tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(list(rows)), tf.constant(list(rows.values()))
        ),
        default_value=-1,
    )


def _texts(tokens: list[str], added: list[dict]) -> list[bytes]:
    """What each id adds to a decoded text."""
    texts = [spelled(token) or b"" for token in tokens]
    for token in added:
        text = b"" if token["special"] else token["content"].encode()
        texts[token["id"]] = text
    return texts
