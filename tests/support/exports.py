"""An export of every kind of policy, written once a session, and asked."""

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import keras_hub
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2

from tests.support import tiny
from tests.support.processes import serve_once
from tf_tokenrl.policies.causal import CausalPolicy

GREEDY = dict(seed=0, temperature=0.0, max_new_tokens=0, top_k=0, top_p=1.0)
FREE = {**GREEDY, "temperature": 1.0}
# Of tensorflow-text; the stock server is built with them.
TEXT_OPS = {
    "RegexSplitWithOffsets",
    "SentencepieceDetokenizeOp",
    "SentencepieceOp",
    "SentencepieceTokenizeOp",
}
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
INPUTS = {
    "prompt": tf.string,
    "seed": tf.int64,
    "temperature": tf.float32,
    "max_new_tokens": tf.int32,
    "top_k": tf.int32,
    "top_p": tf.float32,
}


@functools.cache
def policy(kind):
    """All kinds of caches, a state, byte pairs, two of labels."""
    if labels(kind):
        unit = "word" if kind == "tags" else "text"
        return tiny.shared_label_policy(unit=unit)
    return (
        byte_pair_policy() if kind == "byte_pair" else tiny.shared_policy(kind)
    )


LABELLING = {"tags": "tag", "classes": "classify"}  # kind -> signature
GROWTH = 4000  # KB; a table of the words of `growth` would take 7 MB
KINDS = ("llama", "tags", "gpt2", "mistral", "lstm", "byte_pair", "classes")
KINDS += ("bart", "t5")


def labels(kind):
    return kind in LABELLING


@functools.cache
def path(kind):
    """Where version 1 of the model `kind` lies; leave it as it is."""
    folder = tempfile.mkdtemp(prefix="tokenrl-")
    atexit.register(shutil.rmtree, folder)
    made = Path(folder) / kind / "1"
    policy(kind).export(made)
    return made


def byte_pair_policy():
    merges = ["t h", "th e", "n a", "na m", "nam e", "Ġ the"]
    characters = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = range(256, 256 + 256 - len(characters))
    tokens = ["<|end|>", *map(chr, [*characters, *others])]
    tokens += [merge.replace(" ", "") for merge in merges]
    tokenizer = keras_hub.tokenizers.BytePairTokenizer(
        vocabulary={token: i for i, token in enumerate(tokens)},
        merges=merges,
        unsplittable_tokens=["<|end|>"],
    )
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=len(tokens),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=40,
    )
    made = CausalPolicy(
        keras_hub.models.GPT2CausalLM(backbone),
        tokenizer=tokenizer,
        max_prompt_tokens=20,
        max_new_tokens=6,
        stop_ids=(0,),
        prompt_start_id=0,
    )
    tiny.roughen(made)
    return made


def nodes(folder):
    """The graph of a SavedModel, and all nodes of its functions."""
    content = (folder / "saved_model.pb").read_bytes()
    found = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    every = [*found.graph_def.node]
    for function in found.graph_def.library.function:
        every += function.node_def
    return found, every


def graph(folder):
    """The graph of a SavedModel and its ops."""
    found, every = nodes(folder)
    return found, {node.op for node in every}


def assert_rows_first(folder):
    """Every tensor of every signature has one entry per row."""
    saved, _ = graph(folder)
    for name, signature in saved.signature_def.items():
        if name.startswith("__"):
            continue
        for tensor in [*signature.inputs.values(), *signature.outputs.values()]:
            assert not tensor.tensor_shape.unknown_rank
            assert tensor.tensor_shape.dim[0].size == -1
            assert tensor.WhichOneof("encoding") == "name", "a dense tensor"


def assert_stock_ops(folder):
    """No op that a stock server lacks or refuses, no state, no other noise."""
    _, ops = graph(folder)
    core = {op for op in ops if hasattr(tf.raw_ops, op)}
    assert ops - core <= TEXT_OPS
    assert not [op for op in ops if op.startswith(("Xla", "PyFunc", "Eager"))]
    assert not [op for op in ops if "MutableHashTable" in op]
    assert not [op for op in ops if op in ("RandomUniform", "Multinomial")]


def assert_weights_once(folder, policy):
    """The weights are on disk, and little else."""
    needed = sum(w.value.dtype.size * np.prod(w.shape) for w in policy.weights)
    assert 0 < needed <= stored_bytes(folder) <= 1.05 * needed


def stored_bytes(folder):
    """How many bytes of numbers the checkpoint of a SavedModel holds."""
    file = str(folder / "variables" / "variables")
    reader = tf.train.load_checkpoint(file)
    dtypes = reader.get_variable_to_dtype_map()
    return sum(
        np.prod(shape, dtype=int) * dtypes[name].size
        for name, shape in reader.get_variable_to_shape_map().items()
        if dtypes[name] != tf.string
    )


def generate(folder, prompts, **options):
    """A request to answer, as `serve` takes it."""
    rows = len(prompts)
    inputs = {"prompt": prompts}
    for name, value in options.items():
        inputs[name] = value if isinstance(value, list) else [value] * rows
    return [str(folder), "serving_default", inputs]


def score(folder, prompts, answers):
    """A request to judge answers."""
    return [str(folder), "score", {"prompt": prompts, "answer": answers}]


def serve(*requests):
    """What a server without XLA replies: alone, and all at the same time.

    Bytes are Latin-1. Two lists; a request that fails fails the test.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.processes.serve_once"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def servable(kind):
    """The model, loaded in this process."""
    return serve_once.load(str(path(kind)))


def ask(kind, signature, **inputs):
    """What it replies; bytes are Latin-1."""
    return serve_once.ask(servable(kind), signature, inputs)


def growth(folder, signature):
    """KB of a process that runs a signature: early, and 100,000 words later.

    None of the words comes twice.
    """
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.support.processes.growth_check",
            str(folder),
            signature,
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    print(f"{folder.parent.name}: {before} KB, then {after} KB")
    return before, after
