"""Signatures by which a server streams: see `serving.generation.convention`.

The state of the decode loop travels as one tensor per part. Beside it travel
the ids written so far, so that each step can emit the whole text.
"""

from collections.abc import Callable

import tensorflow as tf

from tf_tokenrl.decoding import loop
from tf_tokenrl.decoding.sampling import Sampling, uniforms
from tf_tokenrl.export.load_time_constants import Prepared
from tf_tokenrl.export.savedmodel import PROMPTS, ServedPolicy, check_numbers
from tf_tokenrl.runtime.tracing import concrete

_IDS, _COUNT = "answer_ids", "answer_count"

Tensors = dict[str, tf.Tensor]


class ServedStream(ServedPolicy):
    """The graphs of a `GenerativePolicy`.

    Where rows can join others under way there are two signatures more:
    `stream_begin` and `stream_advance`. What decoding prepares of the weights
    is prepared when the model is loaded.
    """

    def __init__(self, policy):
        super().__init__(policy)
        self.prepared = [
            Prepared(prepare, f"prepared_{number}")
            for number, prepare in enumerate(policy.preparations())
        ]

    def decoder(self) -> loop.Decoder:
        """A decoder of the graph that is being traced."""
        if not self.prepared:
            return self._policy().decoder()
        return self._policy().decoder(tuple(x.read() for x in self.prepared))

    def _act(self, *asked):
        return self._policy().act(*asked, decoder=self.decoder())

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """All of them, traced."""
        stream = _Stream(self._policy(), self.decoder)
        begin = concrete(stream.begin, *PROMPTS)
        if not stream.joins:
            return super().signatures()
        state = {
            name: tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, name)
            for name, tensor in begin.structured_outputs.items()
            if name in stream.state_names
        }
        advance = concrete(
            stream.advance,
            steps=tf.TensorSpec([None], tf.int32, "steps"),
            **state,
        )
        mine = {"stream_begin": begin, "stream_advance": advance}
        return super().signatures() | mine


class _Stream:
    """The two graphs of a policy, each with a decoder of its own."""

    def __init__(self, policy, decoder: Callable[[], loop.Decoder]):
        self.policy = policy
        self.decoder = decoder
        self.state_names: set[str] = set()
        self.joins = False

    def begin(
        self, prompt, seed, temperature, max_new_tokens, top_k, top_p
    ) -> Tensors:
        """Read prompts and draw the first token of each answer."""
        policy, decoder = self.policy, self.decoder()
        check_numbers(temperature, top_p)
        self.joins = decoder.joins
        ids, lengths, truncated = policy.text.prompt_graph(prompt)
        capacity = policy.max_new_tokens
        limit = tf.where(max_new_tokens > 0, max_new_tokens, capacity)
        seeds = tf.stack([seed, tf.zeros_like(seed)], axis=1)
        state, columns = loop.begin(
            decoder,
            decoder.prefill(ids, lengths, capacity),
            uniforms(seeds, capacity),
            Sampling(temperature, top_k, top_p, limit),
        )
        self._like = tf.nest.map_structure(lambda x: None, state)
        rows = tf.size(prompt)
        answer = {
            _IDS: tf.zeros([rows, capacity], tf.int32),
            _COUNT: tf.zeros([rows], tf.int32),
        }
        emitted = self._emitted(state, answer, columns)
        self.state_names = {*answer, *loop.flatten(state)}
        return emitted | {"prompt_tokens": lengths, "truncated": truncated}

    def advance(self, steps, **tensors) -> Tensors:
        """Draw at most `steps` more tokens of each answer."""
        decoder = self.decoder()
        answer = {name: tensors.pop(name) for name in (_IDS, _COUNT)}
        state = loop.unflatten(self._like, tensors)
        rows = tf.range(tf.size(steps))
        state = loop.keep(decoder, state, rows)  # drops old columns
        state, columns = loop.advance(decoder, state, tf.reduce_max(steps))
        return self._emitted(state, answer, columns)

    def _emitted(
        self, state: loop.State, answer: Tensors, columns: loop.Columns
    ) -> Tensors:
        """The state after some columns, and what they say."""
        counts = tf.reduce_sum(tf.cast(columns.mask, tf.int32), axis=1)
        before = answer[_COUNT]
        row, column = tf.unstack(tf.where(columns.mask), axis=1)
        place = column + tf.cast(tf.gather(before, row), column.dtype)
        ids = tf.tensor_scatter_nd_update(
            answer[_IDS],
            tf.stack([row, place], axis=1),
            tf.boolean_mask(columns.actions, columns.mask),
        )
        last = tf.maximum(before + counts - 1, 0)
        last = tf.gather(ids, last, batch_dims=1)
        stopped = loop.is_any(last, self.policy.stop_ids)
        return {
            **loop.flatten(state),
            _IDS: ids,
            _COUNT: before + counts,
            "texts": self._texts(ids, before, tf.shape(columns.actions)[1]),
            "token_ids": columns.actions,
            "log_probs": columns.log_probs,
            "values": columns.values,
            "counts": counts,
            "ended": ~state.alive,
            "stopped": ~state.alive & stopped,
        }

    def _texts(self, ids, before, steps) -> tf.Tensor:
        """The answers after each of some steps: string `[B, K]`."""
        rows, capacity = tf.unstack(tf.shape(ids))
        lengths = before[:, None] + tf.range(1, steps + 1)[None]
        mask = tf.sequence_mask(tf.minimum(lengths, capacity), capacity)
        repeated = tf.repeat(ids, steps, axis=0)
        mask = tf.reshape(mask, [rows * steps, capacity])
        texts = self.policy.text.text_graph(repeated, mask)
        return tf.reshape(texts, [rows, steps])
