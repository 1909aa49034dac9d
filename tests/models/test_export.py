import errno
import json
import os
import subprocess
import sys

import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests import tiny
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.models import scratch
from tf_tokenrl.models.causal import CausalPolicy
from tf_tokenrl.models.export import next_version

PROMPTS = ["the name of a given file", "", "open"]
GREEDY = dict(seed=0, temperature=0.0, max_new_tokens=0, top_k=0, top_p=1.0)
FREE = {**GREEDY, "temperature": 1.0}
INPUTS = {
    "prompt": tf.string,
    "seed": tf.int64,
    "temperature": tf.float32,
    "max_new_tokens": tf.int32,
    "top_k": tf.int32,
    "top_p": tf.float32,
}


@pytest.fixture(scope="module")
def policy():
    options = scratch.ModelOptions("llama", layers=2, width=128, heads=4)
    made = scratch.build(options, tiny.tokenizer(), 12, 8)
    weights = made.get_weights()
    tiny.roughen(made)
    rough = zip(made.get_weights(), weights, strict=True)
    made.set_weights([w + 0.2 * (r - w) for r, w in rough])
    return made


@pytest.fixture(scope="module")
def exported(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("savedmodels") / "llama" / "1"
    policy.export(path)
    return path


def generate(folder, prompts, **options):
    rows = len(prompts)
    inputs = {"prompt": prompts}
    for name, value in options.items():
        inputs[name] = value if isinstance(value, list) else [value] * rows
    return [str(folder), "serving_default", inputs]


def score(folder, prompts, answers):
    return [str(folder), "score", {"prompt": prompts, "answer": answers}]


def serve(*requests):
    """What a server without XLA replies, bytes as Latin-1, and nothing else."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.serve_once"],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def replies(exported):
    """All that is asked of the server, in one process for its start-up."""
    seeds = [11, 12, 13]
    long = "the name of a list " * 9
    requests = {
        "greedy": generate(exported, PROMPTS, **GREEDY),
        "free": generate(exported, PROMPTS, **{**FREE, "seed": seeds}),
        "alone": generate(exported, PROMPTS[2:], **{**FREE, "seed": 13}),
        "reseeded": generate(exported, PROMPTS, **{**FREE, "seed": 99}),
        "odd": generate(exported, ["\xff\xfe open", long], **GREEDY),
        "short": generate(
            exported, PROMPTS, **{**GREEDY, "max_new_tokens": [1, 3, 900]}
        ),
        "score": score(exported, PROMPTS, ["list", "", "a number"]),
        "long": score(exported, ["open"], [long]),
    }
    return dict(zip(requests, serve(*requests.values()), strict=True))


def test_greedy_answers_are_those_of_the_policy(policy, replies):
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    reply = replies["greedy"]
    np.testing.assert_array_equal(reply["token_ids"], rollout.actions)
    np.testing.assert_array_equal(reply["lengths"], rollout.mask.sum(-1))
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            reply[name], getattr(rollout, name), atol=1e-4
        )
    for row, response in enumerate(policy.decode(rollout)):
        assert reply["text"][row].encode("latin-1") == response.text.encode()
        assert reply["stopped"][row] == response.stopped
    assert not any(reply["truncated"])


def test_sampled_answers_are_those_of_the_policy(policy, replies):
    seeds = np.array([[11, 0], [12, 0], [13, 0]])
    rollout = tiny.sample(policy, PROMPTS, seeds=seeds)
    np.testing.assert_array_equal(replies["free"]["token_ids"], rollout.actions)


def test_an_answer_depends_on_its_own_seed_alone(replies):
    free, alone = replies["free"], replies["alone"]
    assert free["token_ids"][2] == alone["token_ids"][0]
    assert free["text"][2] == alone["text"][0]
    assert free["token_ids"] != replies["reseeded"]["token_ids"]


def test_scores_are_those_of_the_policy(policy, replies):
    pairs = policy.encode_pairs(PROMPTS, ["list", "", "a number"])
    scores, reply = policy.score(pairs), replies["score"]
    np.testing.assert_array_equal(reply["token_ids"], pairs.actions)
    np.testing.assert_array_equal(reply["lengths"], pairs.mask.sum(-1))
    for name in ("log_probs", "values"):
        expected = np.where(pairs.mask, getattr(scores, name), 0.0)
        np.testing.assert_allclose(reply[name], expected, atol=1e-4)
    assert not any(reply["truncated"])


def test_awkward_prompts_are_answered(replies):
    assert replies["odd"]["truncated"] == [False, True]
    assert replies["long"]["truncated"] == [True]
    assert replies["long"]["lengths"] == [8]
    free = np.array(replies["greedy"]["lengths"])
    limited = np.minimum(free, [1, 3, 8])
    np.testing.assert_array_equal(replies["short"]["lengths"], limited)


def saved_ops(path):
    content = (path / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]
    nodes = [*graph.graph_def.node]
    for function in graph.graph_def.library.function:
        nodes += function.node_def
    return {node.op for node in nodes}, graph.signature_def


def assert_servable(path):
    ops, signatures = saved_ops(path)
    assert not [op for op in ops if "Xla" in op or "PyFunc" in op]
    assert not [op for op in ops if "MutableHashTable" in op]
    assert not [op for op in ops if op in ("RandomUniform", "Multinomial")]
    served = {s for s in signatures if not s.startswith("__")}
    assert served == {"serving_default", "score"}
    for name in served:
        tensors = [*signatures[name].inputs.values()]
        assert all(len(t.tensor_shape.dim) == 1 for t in tensors)
        for tensor in signatures[name].outputs.values():
            assert 1 <= len(tensor.tensor_shape.dim) <= 2
    generating = signatures["serving_default"].inputs
    found = {name: tf.as_dtype(t.dtype) for name, t in generating.items()}
    assert found == INPUTS


def test_the_graph_is_one_a_stock_server_runs(exported):
    assert_servable(exported)


def test_weights_are_stored_once(policy, exported):
    size = sum(file.stat().st_size for file in exported.glob("variables/*"))
    needed = 4 * policy.count_params()
    assert needed > 1e6
    assert needed < size < 1.05 * needed


def assert_served_alike(policy, path, prompts=PROMPTS):
    policy.export(path)
    assert_servable(path)
    rollout = tiny.sample(policy, prompts, temperature=0.0)
    (reply,) = serve(generate(path, prompts, **GREEDY))
    np.testing.assert_array_equal(reply["token_ids"], rollout.actions)
    np.testing.assert_allclose(reply["log_probs"], rollout.log_probs, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2", "mistral", "lstm", "gru"])
def test_every_kind_of_policy_is_served_alike(name, tmp_path):
    assert_served_alike(tiny.shared_policy(name), tmp_path / name / "1")


@pytest.mark.slow
def test_byte_pairs_are_served_without_a_growing_table(tmp_path):
    policy = byte_pair_policy()
    before = policy.encode(["the name", "<|end|>the  name "])
    assert_served_alike(
        policy,
        tmp_path / "gpt2" / "1",
        ["the name", "<|end|>the  name <|end|> the", "", "the the THE"],
    )
    after = policy.encode(["the name", "<|end|>the  name "])
    np.testing.assert_array_equal(before[0], after[0])


def byte_pair_policy():
    merges = ["t h", "th e", "n a", "na m", "nam e", "Ġ the"]
    tokens = ["<|end|>", *map(chr, range(33, 127)), "Ġ", "Ċ"]
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
    policy = CausalPolicy(
        keras_hub.models.GPT2CausalLM(backbone),
        tokenizer=tokenizer,
        max_prompt_tokens=20,
        max_new_tokens=6,
        stop_ids=(0,),
        prompt_start_id=0,
    )
    tiny.roughen(policy)
    return policy


def test_the_policy_still_works_after_an_export(policy, exported):
    assert policy.encode(["the name"])[1].any()


@pytest.mark.parametrize("version", ["latest", "1.0", "-1", "v1"])
def test_the_version_must_be_a_number(policy, tmp_path, version):
    with pytest.raises(TokenRLError, match="version number"):
        policy.export(tmp_path / "model" / version)
    assert not os.listdir(tmp_path)


def test_a_version_is_never_overwritten(policy, exported):
    before = sorted(exported.parent.rglob("*"))
    with pytest.raises(TokenRLError, match="exists"):
        policy.export(exported)
    assert sorted(exported.parent.rglob("*")) == before


def test_keras_export_options_are_refused(policy, tmp_path):
    with pytest.raises(TokenRLError, match="without options"):
        policy.export(tmp_path / "1", format="onnx")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        tf.errors.ResourceExhaustedError(None, None, "No space left on device"),
    ],
)
def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, error):
    def fail(module, folder, **kwargs):
        with open(os.path.join(folder, "saved_model.pb"), "w") as file:
            file.write("half")
        raise error

    policy = tiny.shared_policy("gru")
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(TokenRLError, match="No space left on device"):
        policy.export(tmp_path / "model" / "1")
    assert not os.listdir(tmp_path / "model")


def test_the_next_version_follows_the_highest(tmp_path):
    assert next_version(tmp_path / "none").name == "1"
    for name in ("3", "10", "latest", ".export-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path).name == "11"
