"""Text to token ids and back, as one TensorFlow graph.

The trainer, the evaluation and the exported model run the very same ops, so
that a served prompt is tokenised exactly as the trained one was.
"""

import functools

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Response
from tf_tokenrl.text.preparation import Preparation
from tf_tokenrl.text.pretrained import marks
from tf_tokenrl.text.pretrained.tokenizer import PretrainedTokenizer


class TextCodec(tf.Module):
    """A tokenizer with the special tokens and limits of a policy.

    Args:
        tokenizer: a `PretrainedTokenizer` or one of KerasHub's.
        max_prompt_tokens: see `Policy`.
        max_new_tokens: see `Policy`.
        stop_ids: see `Policy`.
        prompt_start_id: put before each prompt, or None. A prompt that a chat
            template wrote brings its own, see `pretrained.marks`.
        answer_start_id: put after each prompt, or None.
        empty_id: what is read of a prompt without a single token.
        preparation: what is done to a prompt first, or None.
    """

    def __init__(
        self,
        tokenizer,
        max_prompt_tokens: int,
        max_new_tokens: int,
        stop_ids: tuple[int, ...],
        prompt_start_id: int | None,
        answer_start_id: int | None,
        empty_id: int | None = None,
        preparation: Preparation | None = None,
    ):
        super().__init__()
        self.preparation = preparation
        self.tokenizer = tokenizer
        self.empty_id = empty_id
        self.max_prompt_tokens = max_prompt_tokens
        self.max_new_tokens = max_new_tokens
        self.stop_ids = stop_ids
        self.prompt_start_id = prompt_start_id
        self.answer_start_id = answer_start_id

    @property
    def action_count(self) -> int:
        """How many actions there are to choose from."""
        return self.tokenizer.vocabulary_size()

    @property
    def largest_prompt_id(self) -> int:
        """No id of an encoded prompt is larger."""
        return self.tokenizer.vocabulary_size() - 1

    def answer_limits(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The most actions for each encoded prompt `[B, P]`: int `[B]`."""
        return np.full(len(ids), self.max_new_tokens)

    # In the graph.

    def prompt_graph(self, prompts: tf.Tensor):
        """Prepare and tokenise prompts, cutting those that are too long.

        Args:
            prompts: string `[B]`.

        Returns:
            ids int32 `[B, P]` padded on the right, lengths int32 `[B]`, and
            bool `[B]`, True where a prompt was cut to `max_prompt_tokens`
            (its beginning is kept, or its end, as the preparation says).
        """
        keep = "start"
        if self.preparation is not None:
            prompts = self.preparation.graph(prompts)
            keep = self.preparation.keep
        tokens = self._with_start(self._tokens(prompts), prompts)
        room = self.max_prompt_tokens - (self.answer_start_id is not None)
        truncated = tokens.row_lengths() > room
        if keep == "end":  # the start token stays before what is kept
            body = room - (self.prompt_start_id is not None)
            tokens = self._tokens(prompts)[:, -body:]
            tokens = self._with_start(tokens, prompts)
        tokens = self._with_end(tokens[:, :room])
        lengths = tf.cast(tokens.row_lengths(), tf.int32)
        return tokens.to_tensor(), lengths, truncated

    def answer_graph(self, answers: tf.Tensor):
        """Tokenise answers, each with a stop token; too long ones are cut.

        Returns:
            ids int32 `[B, T]`, lengths int32 `[B]`, and bool `[B]`, True
            where an answer was cut to `max_new_tokens`.
        """
        tokens = self._answer_tokens(answers)
        if self.stop_ids:
            stop = tf.fill([tokens.nrows(), 1], self.stop_ids[0])
            tokens = tf.concat([tokens, tf.cast(stop, tokens.dtype)], axis=1)
        truncated = tokens.row_lengths() > self.max_new_tokens
        tokens = tokens[:, : self.max_new_tokens]
        lengths = tf.cast(tokens.row_lengths(), tf.int32)
        return tokens.to_tensor(), lengths, truncated

    def text_graph(self, actions: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Answers `[B, T]` as string `[B]`, without their stop tokens."""
        stops = tf.constant(self.stop_ids, tf.int32, [len(self.stop_ids)])
        is_stop = tf.reduce_any(actions[..., None] == stops, axis=-1)
        return self.tokenizer.detokenize(
            tf.ragged.boolean_mask(actions, mask & ~is_stop)
        )

    # Between the graphs.

    def encode_prompts(self, prompts: list[str]):
        """Ids int32 and mask bool `[B, P]` of prompts.

        Where there is a preparation, prompts are cut as `prepare` cut them.

        Raises:
            TokenRLError: a prompt does not fit.
        """
        limit = self.max_prompt_tokens
        return self._encode("_prompt_function", prompts, "Prompt", limit)

    def encode_answers(self, answers: list[str]):
        """Ids int32 and mask bool `[B, T]` of answers, stop included.

        Raises:
            TokenRLError: an answer does not fit.
        """
        limit = self.max_new_tokens
        return self._encode("_answer_function", answers, "Answer", limit)

    def decode(self, actions: np.ndarray, mask: np.ndarray) -> list[Response]:
        """Answers `[B, T]` as text, each token with the characters it added.

        The characters of token `t` are what decoding the first `t` ids lacks
        of decoding the first `t + 1`, so that offsets belong to the sampled
        ids themselves and nothing is tokenised again.
        """
        chosen = [row[kept] for row, kept in zip(actions, mask, strict=True)]
        texts = iter(self._prefix_texts(chosen))
        return [
            self._response(row, [next(texts) for _ in row]) for row in chosen
        ]

    def _response(self, ids: np.ndarray, prefixes: list[str]) -> Response:
        text = prefixes[-1] if prefixes else ""
        ends = _ends(prefixes, text)
        starts = [0, *ends][: len(ends)]
        stopped = bool(len(ids)) and int(ids[-1]) in self.stop_ids
        return Response(
            text,
            tuple(int(i) for i in ids),
            tuple(zip(starts, ends, strict=True)),
            stopped,
        )

    def _prefix_texts(self, rows: list[np.ndarray]) -> list[str]:
        """Of each row the text of its first id, of its first two, ..."""
        counts = [len(row) for row in rows]
        if not any(counts):
            return []
        places = np.arange(max(counts))
        table = np.zeros([len(rows), len(places)], np.int32)
        table[places < np.array(counts)[:, None]] = np.concatenate(rows)
        last = np.concatenate([places[:count] for count in counts])
        ids = np.repeat(table, counts, axis=0)
        texts = self._run("_text_function", ids, places <= last[:, None])
        return [text.decode("utf-8", "replace") for text in texts.numpy()]

    def _run(self, name: str, *arguments):
        """Call one of the graphs, reviving a lost tokenizer once.

        tensorflow-text ties a SentencePiece model to TensorFlow's cache of
        eager kernels, which `keras.utils.set_random_seed` empties.
        """
        try:
            return getattr(self, name)(*arguments)
        except tf.errors.NotFoundError:
            self.revive()
            return getattr(self, name)(*arguments)

    def revive(self) -> None:
        """Load the SentencePiece model anew and forget traced graphs."""
        if isinstance(self.tokenizer, PretrainedTokenizer):
            self.tokenizer.revive()
        elif hasattr(self.tokenizer, "set_proto"):
            self.tokenizer.set_proto(self.tokenizer.proto)
        for name in ("_prompt_function", "_answer_function", "_text_function"):
            self.__dict__.pop(name, None)

    def _encode(self, function: str, texts: list[str], kind: str, limit: int):
        texts = list(texts)
        encoded = [marks.wire(text) for text in texts]
        strings = tf.constant(encoded, tf.string, [len(texts)])
        ids, lengths, truncated = self._run(function, strings)
        ids, lengths = ids.numpy(), lengths.numpy()
        cuts = kind == "Prompt" and self.preparation is not None
        if truncated.numpy().any() and not cuts:
            row = int(np.argmax(truncated.numpy()))
            raise TokenRLError(
                f"{kind} {row} is longer than {limit} tokens "
                f'("{texts[row][:60]}..."): shorten it (`tf-tokenrl prepare` '
                "does) or build the policy with a higher limit."
            )
        return ids, np.arange(ids.shape[1])[None] < lengths[:, None]

    @functools.cached_property
    def _prompt_function(self):
        return tf.function(self.prompt_graph, input_signature=[_STRINGS])

    @functools.cached_property
    def _answer_function(self):
        return tf.function(self.answer_graph, input_signature=[_STRINGS])

    @functools.cached_property
    def _text_function(self):
        return tf.function(self.text_graph, input_signature=[_IDS, _MASK])

    def _tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        return tf.cast(self.tokenizer(texts), tf.int32)

    def _answer_tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        if isinstance(self.tokenizer, PretrainedTokenizer):
            # The stop token is put behind an answer, never read out of it.
            return self.tokenizer.plain(texts)
        return tf.cast(self.tokenizer(texts), tf.int32)

    def _with_start(self, tokens: tf.RaggedTensor, prompts: tf.Tensor):
        if self.prompt_start_id is not None:
            written = tf.strings.substr(prompts, 0, 1) == marks.RENDERED
            start = _column_where(~written, self.prompt_start_id)
            tokens = tf.concat([start, tokens], axis=1)
        if self.answer_start_id is None and self.empty_id is not None:
            empty = _column_where(tokens.row_lengths() == 0, self.empty_id)
            tokens = tf.concat([tokens, empty], axis=1)
        return tokens

    def _with_end(self, tokens: tf.RaggedTensor) -> tf.RaggedTensor:
        if self.answer_start_id is None:
            return tokens
        end = tf.fill([tokens.nrows(), 1], self.answer_start_id)
        return tf.concat([tokens, end], axis=1)


def _column_where(rows: tf.Tensor, token_id: int) -> tf.RaggedTensor:
    """Ragged `[B, 0 or 1]`: a token in the rows that are True."""
    counts = tf.cast(rows, tf.int64)
    tokens = tf.fill([tf.reduce_sum(counts)], token_id)
    return tf.RaggedTensor.from_row_lengths(tokens, counts)


_STRINGS = tf.TensorSpec([None], tf.string)
_IDS = tf.TensorSpec([None, None], tf.int32)
_MASK = tf.TensorSpec([None, None], tf.bool)


def _ends(prefixes: list[str], text: str) -> list[int]:
    """How many characters of `text` each prefix has settled.

    A prefix may end inside a character (a byte token decodes to the
    replacement character until its last byte comes); those characters are
    given to the token that completes them.
    """
    ends = []
    for prefix in prefixes:
        settled = len(prefix)
        while settled and prefix[:settled] != text[:settled]:
            settled -= 1
        ends.append(settled)
    for t in range(len(ends) - 2, -1, -1):
        ends[t] = min(ends[t], ends[t + 1])
    return ends
