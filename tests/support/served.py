"""Small SavedModels to serve, and a way to put copies of them in place."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf

_OPTIONS = {
    "prompt": tf.string,
    "seed": tf.int64,
    "temperature": tf.float32,
    "top_k": tf.int32,
    "top_p": tf.float32,
    "max_new_tokens": tf.int32,
}


def _signature(**dtypes):
    return [tf.TensorSpec([None], d, name=n) for n, d in dtypes.items()]


class HalfPlusTwo(tf.Module):
    """y = x / 2 + 2, and signatures that show the runtime's behaviour."""

    def __init__(self):
        self.half = tf.Variable(0.5)

    @tf.function(input_signature=[tf.TensorSpec([None, 1], name="x")])
    def half_plus_two(self, x):
        return {"y": x * self.half + 2.0}

    @tf.function(input_signature=_signature(a=tf.float32, b=tf.float32))
    def subtract(self, a, b):
        return {"difference": a - b, "sum": a + b}

    @tf.function(input_signature=_signature(text=tf.string))
    def shout(self, text):
        return {"loud": tf.strings.upper(text)}

    @tf.function(input_signature=_signature(count=tf.int32))
    def spin(self, count):
        done = tf.zeros_like(count)
        while tf.reduce_any(done < count):
            done += 1
        return {"done": done}

    @tf.function(input_signature=_signature(text=tf.string))
    def raw(self, text):
        return {"raw_bytes": tf.identity(text)}

    @tf.function(input_signature=_signature(text=tf.string))
    def join(self, text):
        return {"joined": tf.strings.reduce_join(text)}

    @tf.function(input_signature=_signature(x=tf.float32))
    def shrink(self, x):
        return {"y": tf.cast(x, tf.dtypes.experimental.float8_e5m2)}

    @tf.function(input_signature=_signature(x=tf.float32))
    def compiled(self, x):
        return {"y": tf.function(tf.square, jit_compile=True)(x)}


class Echo(tf.Module):
    """The contract of a served policy; the answer shows what was asked."""

    @tf.function(input_signature=_signature(**_OPTIONS))
    def generate(self, prompt, seed, temperature, top_k, top_p, max_new_tokens):
        ids = tf.strings.unicode_decode(prompt, "UTF-8")
        lengths = tf.cast(ids.row_lengths(), tf.int32)
        ids = ids.to_tensor() + tf.cast(seed, tf.int32)[:, None]
        zeros = tf.zeros_like(ids, tf.float32)
        return {
            "text": prompt,
            "token_ids": ids,
            "lengths": lengths,
            "log_probs": zeros - temperature[:, None],
            "values": zeros + top_p[:, None],
            "stopped": top_k > 0,
            "truncated": max_new_tokens > 0,
        }

    @tf.function(input_signature=_signature(prompt=tf.string, answer=tf.string))
    def score(self, prompt, answer):
        ids = tf.strings.unicode_decode(answer, "UTF-8")
        widths = tf.cast(tf.strings.length(prompt), tf.float32)
        zeros = tf.zeros_like(ids.to_tensor(), tf.float32)
        return {
            "token_ids": ids.to_tensor(),
            "lengths": tf.cast(ids.row_lengths(), tf.int32),
            "log_probs": zeros - 1.0,
            "values": zeros + widths[:, None],
        }

    @tf.function(input_signature=_signature(text=tf.string))
    def tag(self, text):
        words = tf.strings.split(text)
        counts = tf.cast(words.row_lengths(), tf.int32)
        return {
            "labels": words.to_tensor(),
            "log_probs": tf.zeros_like(words.to_tensor(), tf.float32) - 0.5,
            "lengths": counts,
            "truncated": counts > 2,
        }

    @tf.function(input_signature=_signature(text=tf.string))
    def classify(self, text):
        return {
            "labels": tf.strings.upper(text)[:, None],
            "log_probs": tf.zeros_like(text, tf.float32)[:, None] - 0.25,
            "lengths": tf.ones_like(text, tf.int32),
            "truncated": tf.strings.length(text) > 3,
        }


def _save_judge(path: Path) -> None:
    """Classify and Regress: signatures on one placeholder, good and bad.

    Example feature x gives the classes "yes" with score x and "no" with
    1 - x, and the regression x / 2 + 2. Without x it is 0.
    """
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.placeholder(tf.string, [None], name="rows")
        other = v1.placeholder(tf.string, [None], name="other")
        feature = tf.io.FixedLenFeature([1], tf.float32, [0.0])
        x = tf.io.parse_example(rows, {"x": feature})["x"]
        half = x / 2.0 + 2.0
        scores = tf.concat([x, 1.0 - x], axis=1)
        classes = tf.fill([tf.shape(x)[0], 1], "yes")
        classes = tf.concat([classes, tf.fill([tf.shape(x)[0], 1], "no")], 1)

        def signature(method, inputs=rows, alias="inputs", **outputs):
            return v1.saved_model.build_signature_def(
                {alias: _info(inputs)},
                {name: _info(tensor) for name, tensor in outputs.items()},
                f"tensorflow/serving/{method}",
            )

        def classify(**options):
            return signature("classify", **options)

        def regress(**options):
            return signature("regress", **options)

        table = tf.raw_ops.HashTableV2(
            key_dtype=tf.string, value_dtype=tf.int64, shared_name="never"
        )
        found = tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=rows, default_value=tf.zeros([], tf.int64)
        )
        signatures = {
            "table": signature("predict", found=found),
            "serving_default": classify(classes=classes, scores=scores),
            "labels": classify(classes=classes),
            "scores": classify(scores=scores),
            "three": classify(classes=classes, scores=scores, more=half),
            "renamed": classify(alias="rows", scores=scores),
            "unknown": classify(logits=scores),
            "flat": classify(scores=scores[:, 0]),
            "numbers": classify(classes=scores),
            "shorter": classify(scores=scores[:1]),
            "narrower": classify(classes=classes[:, :1], scores=scores),
            "regress": regress(outputs=half),
            "regress_flat": regress(outputs=half[:, 0]),
            "regress_wide": regress(outputs=scores),
            "regress_text": regress(outputs=classes[:, 0]),
            "regress_shorter": regress(outputs=half[:1]),
            "regress_renamed": regress(alias="rows", outputs=half),
            "regress_unknown": regress(results=half),
            "regress_other": regress(inputs=other, outputs=tf.zeros([1])),
            "odd": signature("odd", outputs=half),
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session, ["serve"], signature_def_map=signatures
        )
        builder.save()


def _info(tensor):
    return tf.compat.v1.saved_model.build_tensor_info(tensor)


@functools.cache
def _saved(kind: str) -> Path:
    folder = tempfile.mkdtemp(prefix="tokenrl-")
    atexit.register(shutil.rmtree, folder)
    path = Path(folder) / kind
    if kind == "judge":
        _save_judge(path)
        return path
    if kind == "echo":
        model = Echo()
        signatures = {
            "serving_default": model.generate,
            "score": model.score,
            "tag": model.tag,
            "classify": model.classify,
        }
    else:
        model = HalfPlusTwo()
        signatures = {
            "serving_default": model.half_plus_two,
            "subtract": model.subtract,
            "shout": model.shout,
            "raw": model.raw,
            "spin": model.spin,
            "join": model.join,
            "shrink": model.shrink,
            "compiled": model.compiled,
        }
    tf.saved_model.save(model, str(path), signatures=signatures)
    return path


def put(base: Path, version: int | str = 1, kind: str = "half") -> Path:
    """A model at `base/version`, there all at once."""
    base.mkdir(parents=True, exist_ok=True)
    unfinished = base / f"unfinished-{version}"
    shutil.copytree(_saved(kind), unfinished)
    os.replace(unfinished, base / str(version))
    return base
