"""Text to what an encoder reads, and labels to text, as one TensorFlow graph.

An encoder that labels must know more of a token than its id: whether a label
is chosen there, and how the word was written where the vocabulary has no
capital letters. All of it travels in one int32, so that a prompt is `[B, P]`
ids for everyone but this module and the policy:

    id of a prompt = 16 * token + 2 * letter case + 1 where a label is chosen
"""

import keras_hub
import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import unknown
from tf_tokenrl.flow import Response
from tf_tokenrl.text.codec import TextCodec
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer

LETTER_CASES = 6  # of special tokens, none, lower, title, upper, mixed
UNITS = ("word", "text")
_TOKEN, _CASE = 16, 2


class LabelCodec(TextCodec):
    """A tokenizer with the labels, limits and tokens of a policy.

    Words are what white space separates, and are tokenised one by one, so
    that each has a first token; a word of which the tokenizer leaves nothing
    is `unknown_id`.

    Args:
        tokenizer: see `TextCodec`.
        labels: the texts of the actions 0, 1, ...
        unit: "word" or "text", what gets a label.
        max_prompt_tokens: the longest prompt, `start_id` and `end_id`
            included.
        max_new_tokens: the most labels of one prompt.
        start_id: put before each prompt; a text's label is chosen there.
        end_id: put after each prompt, or None.
        unknown_id: see above.
        letter_case: whether ids tell how a word is written.
    """

    def __init__(
        self,
        tokenizer,
        labels: tuple[str, ...],
        unit: str,
        max_prompt_tokens: int,
        max_new_tokens: int,
        start_id: int,
        end_id: int | None,
        unknown_id: int,
        letter_case: bool,
    ):
        super().__init__(
            tokenizer, max_prompt_tokens, max_new_tokens, (), start_id, end_id
        )
        self.labels = labels
        self.unit = unit
        self.start_id = start_id
        self.end_id = end_id
        self.unknown_id = unknown_id
        self.letter_case = letter_case
        self._ids = {label: index for index, label in enumerate(labels)}
        self._before = " " if _words_begin_with_space(tokenizer) else ""

    @property
    def action_count(self) -> int:
        """See `TextCodec`: the labels."""
        return len(self.labels)

    @property
    def largest_prompt_id(self) -> int:
        """See `TextCodec`."""
        return _TOKEN * self.tokenizer.vocabulary_size() - 1

    def answer_limits(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """See `TextCodec`: as many as there are places for a label."""
        return ((ids % _CASE == 1) & mask).sum(-1)

    # In the graph.

    def _tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids `[B, P]` without those of special tokens."""
        words = tf.strings.split(texts)
        flat = words.flat_values
        tokens = self._answer_tokens(self._before + flat)
        lost = tf.cast(tokens.row_lengths() == 0, tf.int64)
        stand_in = tf.fill([tf.reduce_sum(lost)], self.unknown_id)
        stand_in = tf.RaggedTensor.from_row_lengths(stand_in, lost)
        tokens = tf.concat([tokens, stand_in], axis=1)
        ids = _TOKEN * tokens
        if self.letter_case:
            ids += _CASE * letter_case(flat)[:, None]
        if self.unit == "word":
            first = tf.ragged.range(tokens.row_lengths()) == 0
            ids += tf.cast(first, tf.int32)
        return words.with_flat_values(ids).merge_dims(1, 2)

    def _with_start(self, tokens: tf.RaggedTensor, prompts: tf.Tensor):
        place = int(self.unit == "text")
        start = _TOKEN * self.start_id + place
        start = tf.fill([tokens.nrows(), 1], start)
        return tf.concat([start, tokens], axis=1)

    def _with_end(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        if self.end_id is None:
            return tokens
        end = tf.fill([tokens.nrows(), 1], _TOKEN * self.end_id)
        return tf.concat([tokens, end], axis=1)

    def answer_graph(self, answers: tf.Tensor):
        """Label ids int32 `[B, T]`, -1 for what is none, and lengths `[B]`.

        Returns:
            ids, lengths, and bool `[B]`, True where an answer was cut.
        """
        if self.unit == "word":
            given = tf.strings.split(answers)
        else:
            strip = tf.strings.strip(answers)
            given = tf.RaggedTensor.from_tensor(strip[:, None])
        truncated = given.row_lengths() > self.max_new_tokens
        given = given[:, : self.max_new_tokens]
        equal = given.flat_values[:, None] == tf.constant(self.labels)
        found = tf.argmax(equal, axis=1, output_type=tf.int32)
        ids = tf.where(tf.reduce_any(equal, axis=1), found, -1)
        lengths = tf.cast(given.row_lengths(), tf.int32)
        return given.with_flat_values(ids).to_tensor(), lengths, truncated

    def label_graph(self, actions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The labels' texts, string `[B, T]`, "" where none was chosen."""
        chosen = tf.where(mask, actions, 0)
        return tf.where(mask, tf.gather(tf.constant(self.labels), chosen), "")

    def text_graph(self, actions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """The labels of each row, joined by spaces: string `[B]`."""
        labels = tf.ragged.boolean_mask(self.label_graph(actions, mask), mask)
        return tf.strings.reduce_join(labels, axis=1, separator=" ")

    # Between the graphs.

    def encode_answers(self, answers: list[str]):
        """Label ids int32 and mask bool `[B, T]`.

        Raises:
            TokenRLError: an answer has a label that the policy lacks.
        """
        rows = [self._label_ids(row, text) for row, text in enumerate(answers)]
        lengths = np.array([len(row) for row in rows], np.int64)
        mask = np.arange(max(lengths, default=0))[None] < lengths[:, None]
        ids = np.zeros(mask.shape, np.int32)
        ids[mask] = [label for row in rows for label in row]
        return ids, mask

    def _label_ids(self, row: int, answer: str) -> list[int]:
        given = answer.split() if self.unit == "word" else [answer.strip()]
        for label in given:
            if label not in self._ids:
                raise unknown(f"label (of example {row})", label, self.labels)
        return [self._ids[label] for label in given]

    def decode(self, actions: np.ndarray, mask: np.ndarray) -> list[Response]:
        """Labels `[B, T]` as text, joined by spaces, each with its place."""
        return [
            self._labels(row[kept])
            for row, kept in zip(actions, mask, strict=True)
        ]

    def _labels(self, ids: np.ndarray) -> Response:
        chosen = [self.labels[i] for i in ids]
        ends = np.cumsum([len(label) + 1 for label in chosen], dtype=int) - 1
        spans = [
            (int(end) - len(label), int(end))
            for label, end in zip(chosen, ends, strict=True)
        ]
        token_ids = tuple(int(i) for i in ids)
        return Response(" ".join(chosen), token_ids, tuple(spans), True)


def _words_begin_with_space(tokenizer) -> bool:
    if isinstance(tokenizer, PretrainedTokenizer):
        return tokenizer.words_begin_with_space
    return isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer)


def unpack(ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Ids of prompts `[B, P]` as tokens and letter cases int32, places bool."""
    return ids // _TOKEN, ids % _TOKEN // _CASE, ids % _CASE == 1


def letter_case(words: tf.Tensor) -> tf.Tensor:
    """How words are written: string `[N]` -> int32 `[N]`.

    1 without letters that have case, 2 lower ("word"), 3 title ("Word", "A"),
    4 upper ("WORD"), 5 mixed ("iWord"); 0 is left to special tokens.
    """

    def match(pattern):
        return tf.strings.regex_full_match(words, f"(?s){pattern}")

    lower, upper = match(r".*\p{Ll}.*"), match(r".*\p{Lu}.*")
    title = match(r"\P{L}*\p{Lu}.*") & ~match(r".*\p{L}.*\p{Lu}.*")
    case = tf.where(lower, 5, 4)
    case = tf.where(title, 3, case)
    case = tf.where(upper, case, tf.where(lower, 2, 1))
    return tf.cast(case, tf.int32)
