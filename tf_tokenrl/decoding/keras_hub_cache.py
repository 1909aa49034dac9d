"""Decoding any KerasHub `CausalLM` through its own `call_with_cache`.

KerasHub keeps one cache index for all rows, so a batch starts where its
shortest prompt ends and the rest of the longer prompts is read one token at
a time. Slower than `own_cache`, and right for every architecture.
"""

import contextlib
import inspect
import threading

import tensorflow as tf
from keras.src.backend.tensorflow import core as keras_core

from tf_tokenrl.decoding.loop import Decoder, Prefill
from tf_tokenrl.errors import TokenRLError

_WRONG = ("GPTNeoXCausalLM",)  # rotates each cached query as if at position 0
_patching = threading.Lock()


class CallWithCacheDecoder(Decoder):
    """The decoder of a policy whose architecture has no file of its own."""

    joins = False  # one column for all rows: none can start later

    def prefill(self, prompt_ids, lengths, capacity) -> Prefill:
        """Read the columns that every prompt has; the rest is forced."""
        padded = tf.pad(prompt_ids, [[0, 0], [0, capacity]])
        with plain_slice_update():
            hidden, tensors = self.policy.causal_lm._build_cache(padded)
        return begun(prompt_ids, lengths, hidden, {"tensors": tensors})

    def open(self, cache):
        """See `Decoder.open`."""
        return cache["column"], cache["tensors"]

    def step(self, token_ids, column, past, chunk):
        """Read one token per row at the same column of the cache."""
        with plain_slice_update():
            _, hidden, chunk = self.policy.causal_lm.call_with_cache(
                token_ids[:, None], chunk, past[0] + column
            )
        return hidden[:, 0], chunk

    def close(self, cache, chunk, steps):
        """See `Decoder.close`."""
        return cache | {"tensors": chunk, "column": cache["column"] + steps}


def begun(ids: tf.Tensor, lengths: tf.Tensor, hidden, cache: dict) -> Prefill:
    """Texts read as far as the shortest of them reaches.

    Args:
        ids: int32 `[B, L]`, padded on the right.
        lengths: int32 `[B]`.
        hidden: `[B, L or more, H]`, the states of the texts.
        cache: of the texts; the column that is next is added to it.
    """
    shortest = tf.reduce_min(lengths)
    column = tf.fill([tf.shape(ids)[0]], shortest)
    return Prefill(
        hidden[:, shortest - 1],
        cache | {"column": column},
        (ids[:, shortest:], lengths - shortest),
    )


def check_architecture(causal_lm) -> None:
    """Refuse a model that `CallWithCacheDecoder` would decode wrongly.

    Raises:
        TokenRLError: KerasHub's own cache is wrong, or needs more than token
            ids (images, a state that cannot go back to an earlier column).
    """
    name = type(causal_lm).__name__
    cache = inspect.signature(getattr(causal_lm, "_build_cache", _no_cache))
    if name in _WRONG or list(cache.parameters) != ["token_ids"]:
        raise TokenRLError(
            f"{name} cannot be decoded with KerasHub's cache of keys and "
            "values: choose another architecture, such as GPT2CausalLM, "
            "LlamaCausalLM, MistralCausalLM or GemmaCausalLM; an "
            "EncoderDecoderPolicy takes BartSeq2SeqLM and T5Seq2SeqLM."
        )


def _no_cache():
    """Stands for a model without a cache."""


@contextlib.contextmanager
def plain_slice_update():
    """Trace `keras.ops.slice_update` as core TensorFlow ops.

    Keras lowers it to an XLA op that a stock TensorFlow Serving refuses to
    run. KerasHub only writes a run of columns on axis 1 or 2 of a cache.
    """
    with _patching:
        original = keras_core.slice_update
        keras_core.slice_update = _slice_update
        try:
            yield
        finally:
            keras_core.slice_update = original


def _slice_update(inputs, start_indices, updates):
    """`inputs` with the block at `start_indices` replaced by `updates`."""
    inputs = tf.convert_to_tensor(inputs)
    updates = tf.cast(updates, inputs.dtype)
    for axis, (whole, part) in enumerate(
        zip(inputs.shape, updates.shape, strict=True)
    ):
        if axis > 0 and (whole is None or whole != part):
            return _replace_run(inputs, start_indices[axis], updates, axis)
    return updates


def _replace_run(inputs, start, updates, axis):
    start = tf.cast(start, tf.int32)
    stop = start + tf.shape(updates)[axis]
    before = tf.gather(inputs, tf.range(start), axis=axis)
    rest = tf.range(stop, tf.shape(inputs)[axis])
    after = tf.gather(inputs, rest, axis=axis)
    joined = tf.concat([before, updates, after], axis=axis)
    joined.set_shape(inputs.shape)
    return joined
