"""WordPiece with the text normalisation of the original BERT.

The original's tables of marks and punctuation are those of Unicode 8; of what
was added later (some 560 rare characters) RE2 knows more, so that a few more
accents are stripped and signs isolated here.

Source: Devlin et al. (2019), "BERT", and the code released with it; Wu et al.
(2016) for WordPiece.
"""

import tensorflow as tf
import tensorflow_text

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.pretrained.splits import SPACE

# Blocks of Chinese characters, as BERT's code lists them.
_CHINESE = (
    r"\x{4e00}-\x{9fff}\x{3400}-\x{4dbf}\x{20000}-\x{2a6df}\x{2a700}-\x{2b73f}"
    r"\x{2b740}-\x{2b81f}\x{2b920}-\x{2ceaf}\x{f900}-\x{faff}"
    r"\x{2f800}-\x{2fa1f}"
)
_PUNCTUATION = r"!-/:-@\[-`{-~\p{P}"  # all ASCII symbols count


class WordPiece(tf.Module):
    """A WordPiece `tokenizer.json` as a graph.

    Args:
        parsed: the file.

    Raises:
        TokenRLError: a part of it is not known here.
    """

    def __init__(self, parsed: dict):
        super().__init__()
        model = parsed["model"]
        self._options = _options(parsed)
        vocabulary = model["vocab"]
        size = 1 + max(vocabulary.values())
        tokens = [""] * size
        for token, i in vocabulary.items():
            tokens[i] = token
        self.tokens = tuple(tokens)
        self._longest = int(model.get("max_input_chars_per_word", 100))
        self._suffix = model.get("continuing_subword_prefix", "##")
        self._unknown = vocabulary[model["unk_token"]]
        self._pieces = tensorflow_text.FastWordpieceTokenizer(
            tokens,
            suffix_indicator=self._suffix,
            max_bytes_per_word=4 * self._longest,
            unknown_token=model["unk_token"],
            token_out_type=tf.int32,
            no_pretokenization=True,
        )

    def encode(self, pieces: tf.Tensor, first=None) -> tf.RaggedTensor:
        """String `[N]` -> ragged int32 `[N, L]`."""
        words = tf.strings.split(self._spaced(pieces), " ")
        words = tf.ragged.boolean_mask(words, words != "")
        flat = words.flat_values
        short = tf.strings.length(flat, "UTF8_CHAR") <= self._longest
        ids = self._pieces.tokenize(tf.where(short, flat, ""))
        unknown = tf.fill(
            [tf.reduce_sum(tf.cast(~short, tf.int64))], self._unknown
        )
        stand_in = tf.RaggedTensor.from_row_lengths(
            unknown, tf.cast(~short, tf.int64)
        )
        ids = tf.concat([ids, stand_in], axis=1)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def decode(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Ragged int32 `[B, L]` -> string `[B]`, words apart by spaces."""
        table = tf.constant(self.tokens)
        texts = ids.with_flat_values(tf.gather(table, ids.flat_values))
        joined = tf.strings.reduce_join(texts, axis=-1, separator=" ")
        return tf.strings.regex_replace(joined, f" {self._suffix}", "")

    def _spaced(self, texts: tf.Tensor) -> tf.Tensor:
        """Texts in which single spaces and nothing else part the words."""
        replace = tf.strings.regex_replace
        if self._options["clean_text"]:
            texts = replace(texts, r"[\t\n\r]", " ")
            texts = replace(texts, r"[\x{fffd}\p{C}]", "")
        if self._options["handle_chinese_chars"]:
            texts = replace(texts, f"([{_CHINESE}])", r" \1 ")
        if self._options["strip_accents"]:
            texts = tensorflow_text.normalize_utf8(texts, "NFD")
            texts = replace(texts, r"\p{Mn}", "")
        if self._options["lowercase"]:
            texts = _lowered(texts)
        texts = replace(texts, f"[{SPACE}]", " ")
        return replace(texts, f"([{_PUNCTUATION}])", r" \1 ")


def _lowered(texts: tf.Tensor) -> tf.Tensor:
    """Each character in small letters, whatever stands beside it."""
    # ICU writes a capital sigma at the end of a word in another way.
    texts = tf.strings.regex_replace(texts, "\u03a3", "\u03c3")
    return tf.strings.lower(texts, encoding="utf-8")


def _options(parsed: dict) -> dict:
    normalizer = parsed.get("normalizer") or {}
    cuts = (parsed.get("pre_tokenizer") or {}).get("type")
    if normalizer.get("type") != "BertNormalizer" or (
        cuts != "BertPreTokenizer"
    ):
        raise TokenRLError(
            f"A WordPiece tokenizer with the normalizer "
            f'"{normalizer.get("type")}" and the pre-tokenizer "{cuts}" is '
            "not known here, only BERT's own."
        )
    lowercase = bool(normalizer.get("lowercase", True))
    accents = normalizer.get("strip_accents")
    return {
        "clean_text": normalizer.get("clean_text", True),
        "handle_chinese_chars": normalizer.get("handle_chinese_chars", True),
        "lowercase": lowercase,
        "strip_accents": lowercase if accents is None else accents,
    }
