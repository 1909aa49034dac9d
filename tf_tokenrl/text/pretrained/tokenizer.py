"""A pretrained model's own tokenizer as one TensorFlow graph.

The tokenizer's file is the source, in the format of the package `tokenizers`;
the ids are those of that package, in training, evaluation and serving alike.
"""

import json
import os

import keras
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.text.pretrained import marks
from tf_tokenrl.text.pretrained.byte_level import ByteLevel
from tf_tokenrl.text.pretrained.sentence_piece import SentencePiece
from tf_tokenrl.text.pretrained.splits import SPACE
from tf_tokenrl.text.pretrained.word_piece import WordPiece

_FILE = "tokenizer.json"
_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")


@keras.saving.register_keras_serializable(package="tf_tokenrl")
class PretrainedTokenizer(keras.layers.Layer):
    """Text to ids and back, as the model's authors defined it.

    Args:
        definition: the text of a `tokenizer.json`; see `sentence_piece` for
            how a SentencePiece model is written there.
        special: which tokens are `bos_token`, `eos_token`, `pad_token`,
            `unk_token`, `cls_token`, `sep_token`; None where there is none.
        starts: whether raw text gets `bos_token` in front.
        chat_template: the Jinja text that turns messages into a prompt.

    Raises:
        TokenRLError: the definition has a part that is not known here.

    Example:
        >>> from tf_tokenrl.importers.shared import tokenizer_files
        >>> tokenizer = tokenizer_files.read("folder/of/a/model")
        >>> tokenizer.detokenize(tokenizer(["Hello  world"]))

    Note:
        Control tokens are found in raw text, as the original does it, but
        never in text that is quoted, see `marks`: what a chat's users write
        stays text. Control tokens leave no trace in decoded text.
    """

    def __init__(
        self,
        definition: str | None = None,
        special: dict | None = None,
        starts: bool = False,
        chat_template: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.special = dict(special or {})
        self.starts = starts
        self.chat_template = chat_template
        self.definition = ""
        if definition is not None:
            self._define(definition)

    def _define(self, definition: str) -> None:
        self.definition = definition
        parsed = json.loads(definition)
        self._added = parsed.get("added_tokens") or []
        for token in self._added:
            if token.get("single_word"):
                raise TokenRLError(
                    f'The token "{token["content"]}" is to be found only as a '
                    "whole word, which is not known here."
                )
        self._core = _core(parsed)
        self._ids = {token: i for i, token in enumerate(self._core.tokens)}
        self._ids |= {t["content"]: int(t["id"]) for t in self._added}
        self._make_tables()

    def _make_tables(self) -> None:
        names = [token["content"] for token in self._added]
        ids = [token["id"] for token in self._added]
        self._control = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(
                # A table needs a row; no name begins with this byte.
                tf.constant([*map(str.encode, names), b"\xff"], tf.string),
                tf.constant([*ids, -1], tf.int32),
            ),
            default_value=-1,
        )
        self._all = _alternatives(self._added)
        self._ordinary = _alternatives(
            [token for token in self._added if not token["special"]]
        )

    def revive(self) -> None:
        """Load the models anew, see `TextCodec.revive`."""
        self._define(self.definition)

    # What a policy asks of a tokenizer.

    def __call__(self, texts):
        """String `[B]` -> ragged int32 `[B, L]`, without a start token."""
        return self.tokenize(tf.convert_to_tensor(texts, tf.string))

    def tokenize(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """See `__call__`."""
        pieces, control = self._pieces(self._prompts(texts))
        flat = pieces.flat_values
        ids = tf.where(control, self._control.lookup(flat), -1)
        text = tf.where(ids >= 0, "", flat)
        text = self._core.encode(text, _begins(pieces))
        special = tf.RaggedTensor.from_row_lengths(
            tf.boolean_mask(ids, ids >= 0), tf.cast(ids >= 0, tf.int64)
        )
        tokens = tf.concat([special, text], axis=1)
        return pieces.with_flat_values(tokens).merge_dims(1, 2)

    def plain(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """As `tokenize`, with nothing in `texts` a control token."""
        return self.tokenize(marks.CONTROL + marks.CONTROL + _valid(texts))

    def detokenize(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """Ragged ids `[B, L]` -> string `[B]`, control tokens left out."""
        return self._core.decode(tf.cast(ids, tf.int32))

    def vocabulary_size(self) -> int:
        """The largest id and one."""
        return 1 + max(self._ids.values())

    def get_vocabulary(self) -> list[str]:
        """The tokens in the order of their ids, "" where there is none."""
        tokens = [""] * self.vocabulary_size()
        for token, i in self._ids.items():
            tokens[i] = token
        return tokens

    def token_to_id(self, token: str) -> int:
        """The id of a token.

        Raises:
            TokenRLError: there is no such token.
        """
        if token not in self._ids:
            raise unknown("token", token, self.special_tokens)
        return self._ids[token]

    def id_to_token(self, token_id: int) -> str:
        """The token of an id."""
        return self.get_vocabulary()[token_id]

    @property
    def special_tokens(self) -> list[str]:
        """The control tokens."""
        return [t["content"] for t in self._added if t["special"]]

    @property
    def words_begin_with_space(self) -> bool:
        """Whether a word inside a text is spelled with the space before."""
        return isinstance(self._core, ByteLevel)

    def _role(self, *roles: str) -> int | None:
        given = (self.special.get(role) for role in roles)
        return next((self.token_to_id(name) for name in given if name), None)

    @property
    def start_token_id(self) -> int | None:
        """The id of `bos_token`, of `cls_token` where there is none."""
        return self._role("bos_token", "cls_token")

    @property
    def end_token_id(self) -> int | None:
        """The id of `eos_token`, of `sep_token` where there is none."""
        return self._role("eos_token", "sep_token")

    @property
    def unk_token_id(self) -> int | None:
        """The id of what is unknown."""
        return self._role("unk_token")

    @property
    def pad_token_id(self) -> int | None:
        """The id of padding."""
        return self._role("pad_token")

    # Pieces of a prompt, control tokens apart.

    def _prompts(self, texts: tf.Tensor) -> tf.Tensor:
        """Texts with every control token between marks."""
        first = tf.strings.substr(texts, 0, 1)
        marked = (first == marks.CONTROL) | (first == marks.RENDERED)
        found = _mark(_valid(texts), self._all)
        given = tf.strings.regex_replace(texts, r"\A\C", "")  # its first byte
        return tf.where(
            marked, tf.where(first == marks.RENDERED, given, texts), found
        )

    def _pieces(self, prompts: tf.Tensor):
        """Ragged string `[B, N]`, and which of all pieces stood in marks."""
        pieces = tf.strings.split(prompts, marks.CONTROL)
        control = _odd(pieces)
        if not self._ordinary:
            return pieces.with_flat_values(
                tf.where(
                    control, pieces.flat_values, _valid(pieces.flat_values)
                )
            ), control
        flat = pieces.flat_values
        text = _mark(_valid(flat), self._ordinary)
        inner = tf.strings.split(tf.where(control, flat, text), marks.CONTROL)
        within = tf.repeat(control, inner.row_lengths()) | _odd(inner)
        return pieces.with_flat_values(inner).merge_dims(1, 2), within

    # On disk.

    def get_config(self):
        return super().get_config() | {
            "special": self.special,
            "starts": self.starts,
            "chat_template": self.chat_template,
        }

    def save_assets(self, dir_path: str) -> None:
        """Write the definition where Keras keeps what is no number."""
        with open(os.path.join(dir_path, _FILE), "w", encoding="utf-8") as file:
            file.write(self.definition)

    def load_assets(self, dir_path: str) -> None:
        """Read what `save_assets` wrote."""
        with open(os.path.join(dir_path, _FILE), encoding="utf-8") as file:
            self._define(file.read())


def _core(parsed: dict):
    model = parsed.get("model") or {}
    kind = model.get("type")
    if kind == "WordPiece":
        return WordPiece(parsed)
    if kind == "BPE" and not model.get("byte_fallback"):
        return ByteLevel(parsed)
    if kind in ("BPE", "Unigram", "SentencePiece"):
        return SentencePiece(parsed)
    raise unknown("tokenizer model", str(kind), ("BPE", "WordPiece", "Unigram"))


def _alternatives(tokens: list[dict]) -> str:
    """RE2 expression that finds tokens; the longest goes first.

    Its two groups are tokens that take white space before them with them, and
    all the others.
    """
    groups = []
    for greedy in (True, False):
        names = sorted(
            (t["content"] for t in tokens if bool(t.get("lstrip")) == greedy),
            key=lambda name: (-len(name), name),
        )
        # "$^" where there are none: it matches nothing.
        found = "|".join(map(_escaped, names)) or r"\b\B"
        groups.append(f"[{SPACE}]*({found})" if greedy else f"({found})")
    return "|".join(groups) if tokens else ""


def _escaped(name: str) -> str:
    return "".join(
        c if c.isalnum() or ord(c) > 127 else rf"\x{{{ord(c):x}}}" for c in name
    )


def _mark(texts: tf.Tensor, expression: str) -> tf.Tensor:
    """Texts with what the expression finds between marks."""
    if not expression:
        return texts
    return tf.strings.regex_replace(
        texts, expression, marks.CONTROL + rb"\1\2" + marks.CONTROL
    )


def _valid(texts: tf.Tensor) -> tf.Tensor:
    """Texts with U+FFFD for bytes that are not UTF-8."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")


def _begins(pieces: tf.RaggedTensor) -> tf.Tensor:
    """Which pieces have nothing but empty ones before them in their row."""
    filled = tf.cast(pieces.flat_values != "", tf.int64)
    before = tf.cumsum(filled, exclusive=True)
    at_start = tf.gather(before, pieces.row_starts())
    return before == tf.repeat(at_start, pieces.row_lengths())


def _odd(pieces: tf.RaggedTensor) -> tf.Tensor:
    """Which pieces stand between marks: every second one of a row."""
    return tf.ragged.range(pieces.row_lengths()).flat_values % 2 == 1
