"""Byte-pair tokenizers without the table that grows.

KerasHub keeps every word it has ever split in a table, which a server would
fill without end. For as long as a graph for serving is traced and written,
the table is replaced by one that knows the words of a single call.
"""

import contextlib

import keras_hub
import tensorflow as tf


@contextlib.contextmanager
def forgetful(tokenizer):
    """Let `tokenizer`, once used, trace graphs that remember no words.

    Other tokenizers keep no words and are left as they are.
    """
    if not isinstance(tokenizer, keras_hub.tokenizers.BytePairTokenizer):
        yield
        return
    kept = tokenizer.cache
    del tokenizer.cache  # or TensorFlow would write it all the same
    tokenizer.cache = WordsOfOneCall(tokenizer.unsplittable_tokens or [])
    try:
        yield
    finally:
        tokenizer.cache = kept


class WordsOfOneCall:
    """Stands for KerasHub's `BytePairTokenizerCache` while one call is traced.

    The tokenizer looks its words up, splits and inserts those that are not
    known, and looks all of them up again.

    Args:
        whole: tokens that are never split.
    """

    def __init__(self, whole: list[str]):
        self._whole = tuple(whole)
        self._split = None

    def lookup(self, words: tf.Tensor) -> tf.Tensor:
        """Each word split by spaces, "" where it has not been split yet."""
        whole = tf.constant(self._whole, tf.string, [len(self._whole)])
        is_whole = tf.reduce_any(words[:, None] == whole[None], axis=-1)
        known = tf.where(is_whole, words, "")
        if self._split is None:
            return known
        split, self._split = self._split, None
        return tf.tensor_scatter_nd_update(known, tf.where(~is_whole), split)

    def insert(self, words: tf.Tensor, split: tf.Tensor) -> None:
        """Take what the unknown words, in order, were split into."""
        self._split = split
