import errno
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.support import exports, rest_client, tiny
from tf_tokenrl import client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export.savedmodel import next_version
from tf_tokenrl.policies import from_scratch
from tf_tokenrl.serving import Flags, Server


@pytest.fixture(scope="module")
def policy():
    options = from_scratch.ModelOptions("llama", layers=2, width=128, heads=4)
    return from_scratch.build(options, tiny.tokenizer(), 12, 8)


@pytest.fixture(scope="module")
def exported(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("savedmodels") / "llama" / "1"
    policy.export(path)
    return path


def test_weights_take_no_more_disk_than_they_must(policy, exported):
    size = sum(file.stat().st_size for file in exported.glob("variables/*"))
    needed = 4 * policy.count_params()
    assert needed > 1e6
    assert needed < size < 1.05 * needed
    _, graph = exports.nodes(exported)
    constants = [node.attr["value"].tensor for node in graph]
    assert sum(len(c.tensor_content) for c in constants) < 0.05 * needed


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
    for name in ("3", "10", "latest", ".unfinished-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path).name == "11"


@pytest.fixture(scope="module")
def served(exported):
    flags = Flags(
        model_base_path=str(exported.parent),
        model_name="llama",
        port=0,
        rest_api_port=-1,
        enable_model_warmup=False,
    )
    with Server(flags) as server:
        yield server


def test_a_prompt_alone_is_a_request(served):
    rest = rest_client.Client(served.http_port)
    code, short = rest.post("llama:predict", {"instances": ["a", "the name"]})
    assert code == 200
    whole = [{"prompt": p, **exports.GREEDY} for p in ("a", "the name")]
    assert rest.post("llama:predict", {"instances": whole}) == (200, short)
    named = {"instances": [{"prompt": "a"}, {"prompt": "the name"}]}
    assert rest.post("llama:predict", named) == (200, short)
    hot = {"inputs": {"prompt": ["a"], "temperature": [2.0], "seed": [5]}}
    assert rest.post("llama:predict", hot)[0] == 200
    rest.close()


def test_a_batch_of_no_rows_has_no_answers(served):
    with client.Client(f"localhost:{served.port}", "llama") as asking:
        strings, none = np.array([], object), np.zeros(0)
        options = {
            "seed": none.astype(np.int64),
            "temperature": none.astype(np.float32),
            "top_p": none.astype(np.float32),
            "top_k": none.astype(np.int32),
            "max_new_tokens": none.astype(np.int32),
        }
        for outputs in (
            asking.predict({"prompt": strings, **options}),
            asking.predict({"prompt": strings}),
            asking.predict({"prompt": strings, "answer": strings}, "score"),
        ):
            assert {len(array) for array in outputs.values()} == {0}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"temperature": np.float32([np.nan])}, "temperature must be finite"),
        ({"temperature": np.float32([np.inf])}, "temperature must be finite"),
        ({"top_p": np.float32([np.nan])}, "top_p must be from 0 to 1"),
        ({"top_p": np.float32([1.5])}, "top_p must be from 0 to 1"),
    ],
)
def test_numbers_that_are_none_are_refused_by_the_graph(served, wrong, text):
    """Whoever sends them, and whichever server runs it."""
    with (
        client.Client(f"localhost:{served.port}", "llama") as asking,
        pytest.raises(client.InvalidArgument, match=text),
    ):
        asking.predict({"prompt": ["a"], **wrong})
