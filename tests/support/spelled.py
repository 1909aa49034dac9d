"""A model that streams and is no policy: it spells its prompt, byte by byte.

With `max_new_tokens` it begins again and again until it has written so many.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

_OPTIONS = [
    tf.TensorSpec([None], tf.string, "prompt"),
    tf.TensorSpec([None], tf.int64, "seed"),
    tf.TensorSpec([None], tf.float32, "temperature"),
    tf.TensorSpec([None], tf.int32, "top_k"),
    tf.TensorSpec([None], tf.float32, "top_p"),
    tf.TensorSpec([None], tf.int32, "max_new_tokens"),
]
_STATE = [
    tf.TensorSpec([None], tf.int32, "place"),
    tf.TensorSpec([None], tf.int32, "length"),
    tf.TensorSpec([None], tf.int32, "limit"),
    tf.TensorSpec([None], tf.bool, "endless"),
    tf.TensorSpec([None], tf.float32, "noise"),
    tf.TensorSpec([None, None], tf.int32, "memory"),
]
_LONGEST = 64


class Speller(tf.Module):
    """Token t is byte t of the prompt, its log-prob -seed - t / 100."""

    def __init__(self):
        self.bytes = tf.constant([bytes([i]) for i in range(256)])

    @tf.function(input_signature=_OPTIONS)
    def begin(self, prompt, seed, temperature, top_k, top_p, max_new_tokens):
        tf.debugging.Assert(tf.reduce_all(prompt != "fail"), ["told to fail"])
        length = tf.maximum(tf.strings.length(prompt), 1)
        codes = tf.io.decode_raw(prompt, tf.uint8, fixed_length=_LONGEST)
        codes = tf.cast(codes, tf.int32)
        endless = max_new_tokens > 0
        state = {
            "place": tf.zeros_like(length),
            "length": length,
            "limit": tf.where(endless, max_new_tokens, length),
            "endless": endless,
            "noise": tf.cast(seed, tf.float32),
            "memory": tf.reverse(codes[:, : tf.reduce_max(length)], [1]),
        }
        known = {"prompt_tokens": length, "truncated": top_k > 0}
        return self._written(state, 1) | known

    @tf.function(
        input_signature=[
            *_STATE,
            tf.TensorSpec([None], tf.int32, "steps"),
        ]
    )
    def advance(self, place, length, limit, endless, noise, memory, steps):
        state = {
            "place": place,
            "length": length,
            "limit": limit,
            "endless": endless,
            "noise": noise,
            "memory": memory,
        }
        return self._written(state, steps[0])

    def _written(self, state, steps):
        place, limit = state["place"], state["limit"]
        columns = place[:, None] + tf.range(steps)[None]
        counts = tf.minimum(limit - place, steps)
        every = tf.range(tf.reduce_max(columns) + 1)[None]
        every %= state["length"][:, None]
        codes = tf.reverse(state["memory"], [1])  # padded at its beginning
        codes = tf.gather(codes, every, batch_dims=1)
        characters = tf.gather(self.bytes, codes)
        before = tf.range(tf.shape(every)[1]) <= columns[..., None]
        place = place + counts
        told = tf.where(before, characters[:, None], "")
        numbers = tf.cast(columns, tf.float32)
        return state | {
            "place": place,
            "texts": tf.strings.reduce_join(told, axis=-1),
            "token_ids": tf.gather(codes, columns, batch_dims=1),
            "log_probs": -state["noise"][:, None] - numbers / 100,
            "values": numbers,
            "counts": counts,
            "ended": place >= limit,
            "stopped": (place >= limit) & ~state["endless"],
        }


@functools.cache
def _saved(streams: bool) -> Path:
    folder = tempfile.mkdtemp(prefix="tokenrl-")
    atexit.register(shutil.rmtree, folder)
    model = Speller()
    signatures = {"serving_default": model.begin}
    if streams:
        signatures = {
            "stream_begin": model.begin,
            "stream_advance": model.advance,
        }
    tf.saved_model.save(model, f"{folder}/1", signatures=signatures)
    return Path(folder, "1")


def put(base: Path, version: int = 1, streams: bool = True) -> Path:
    """The model at `base/version`; without the signatures if told so."""
    base.mkdir(parents=True, exist_ok=True)
    unfinished = base / f"unfinished-{version}"
    shutil.copytree(_saved(streams), unfinished)
    unfinished.rename(base / str(version))
    return base


def spelling(prompt: bytes, tokens: int = 0) -> bytes:
    """The answer that is expected."""
    text = prompt or b"\0"
    return np.resize(
        np.frombuffer(text, np.uint8), tokens or len(text)
    ).tobytes()
