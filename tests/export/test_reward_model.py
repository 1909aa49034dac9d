"""Reward models: what a value head says of answers, out of a SavedModel."""

import json
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tests.support import exports, tiny
from tf_tokenrl import rewards
from tf_tokenrl.client import Client
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.export import model_card, warm_up_records
from tf_tokenrl.flow import Example
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.text.tokenizer import load_processor

PROMPTS = ["the name of a given file", "", "open", "return"]
ANSWERS = ["list", "a number or value", "", "the given name"]
LONG = "the name of a list " * 9
SLOW = [pytest.param(k, marks=pytest.mark.slow) for k in ("lstm", "bart", "t5")]


@pytest.fixture(scope="module", params=["llama", *SLOW])
def policy(request):
    return tiny.shared_policy(request.param)


@pytest.fixture(scope="module")
def folder(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("savedmodels") / "judge" / "1"
    policy.export_reward_model(path, {"data": "none"})
    return path


@pytest.fixture(scope="module")
def client(folder):
    """Of the embedded server, which runs without XLA."""
    flags = Flags(model_base_path=str(folder.parent), port=0)
    with (
        Server(flags) as server,
        Client(f"127.0.0.1:{server.port}", model="default") as opened,
    ):
        yield opened


def ask(client, prompts, answers, signature="reward"):
    inputs = {
        "prompt": np.array(prompts, "S"),
        "answer": np.array(answers, "S"),
    }
    return client.predict(inputs, signature)


def test_it_keeps_what_every_export_promises(policy, folder):
    exports.assert_rows_first(folder)
    exports.assert_stock_ops(folder)
    exports.assert_weights_once(folder, policy)
    saved, _ = exports.graph(folder)
    for name in ("serving_default", "reward"):
        signature = saved.signature_def[name]
        dtypes = {n: tf.as_dtype(t.dtype) for n, t in signature.inputs.items()}
        assert dtypes == {"prompt": tf.string, "answer": tf.string}
    assert len(saved.signature_def) == 3, "the two, and one of TensorFlow's own"


def test_the_score_is_the_value_of_the_whole_answer(policy, client):
    pairs = policy.encode_pairs(PROMPTS, ANSWERS)
    values = policy.score(pairs).values.numpy()
    reply = ask(client, PROMPTS, ANSWERS)
    np.testing.assert_array_equal(reply["token_ids"], pairs.actions)
    lengths = pairs.mask.sum(-1)
    np.testing.assert_array_equal(reply["lengths"], lengths)
    np.testing.assert_allclose(
        reply["values"], np.where(pairs.mask, values, 0.0), atol=1e-5
    )
    last = values[np.arange(len(values)), lengths - 1]
    np.testing.assert_allclose(reply["score"], last, atol=1e-5)
    assert reply["score"].dtype == np.float32 and len(set(last)) == len(last)
    assert not reply["truncated"].any()
    again = ask(client, PROMPTS, ANSWERS, "serving_default")
    for name, value in reply.items():
        np.testing.assert_array_equal(again[name], value)


def test_neighbours_and_load_change_nothing(client):
    together = ask(client, [*PROMPTS, LONG], [*ANSWERS, LONG])
    pairs = list(zip(PROMPTS, ANSWERS, strict=True)) * 2
    with futures.ThreadPoolExecutor(4) as pool:
        alone = pool.map(lambda p: ask(client, [p[0]], [p[1]]), pairs)
        scores = [reply["score"][0] for reply in alone]
    expected = [*together["score"][: len(PROMPTS)]] * 2
    np.testing.assert_allclose(scores, expected, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(texts=st.lists(exports.ANY_TEXT, min_size=1, max_size=6))
def test_the_graph_splits_texts_as_the_library_does(client, texts):
    processor = load_processor(tiny.tokenizer().proto)
    encoded = [text.encode() for text in texts]
    reply = client.predict({"prompt": encoded, "answer": encoded}, "reward")
    width = reply["token_ids"].shape[1]
    for row, text in enumerate(texts):
        expected = [*processor.encode(text), 3][:width]
        assert [*reply["token_ids"][row][: reply["lengths"][row]]] == expected


@pytest.mark.slow
def test_words_never_seen_leave_nothing_behind(folder):
    before, after = exports.growth(folder, "reward")
    assert after - before < exports.GROWTH


def test_awkward_texts_are_judged(policy, client):
    odd = [b"\xff\xfe open", b"a\x00b", LONG, "open"]
    reply = ask(client, odd, ["the", b"\xff", "the", LONG])
    np.testing.assert_array_equal(
        reply["truncated"], [False, False, True, True]
    )
    assert np.isfinite(reply["score"]).all()
    assert reply["lengths"][3] == policy.max_new_tokens


def test_the_reward_of_that_name_reads_it(policy, folder):
    reward = rewards.get("reward_model", path=str(folder))
    rollout = policy.encode_pairs(PROMPTS, ANSWERS)
    responses = policy.decode(rollout)
    values = policy.score(rollout).values.numpy()
    found = reward([Example(p) for p in PROMPTS], responses, rollout)
    expected = np.zeros_like(values)
    rows, last = np.arange(len(values)), rollout.mask.sum(-1) - 1
    expected[rows, last] = values[rows, last]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_warm_up_and_card_are_beside_it(policy, folder):
    records = tf.data.TFRecordDataset(
        str(folder / "assets.extra/" / warm_up_records.FILE)
    )
    requests = [
        PredictionLog.FromString(record).predict_log.request
        for record in records.as_numpy_iterator()
    ]
    asked = {
        (
            request.model_spec.signature_name,
            request.inputs["prompt"].tensor_shape.dim[0].size,
            len(request.inputs["answer"].string_val[0]) > 5,
        )
        for request in requests
    }
    assert asked == {
        (name, rows, long)
        for name in ("serving_default", "reward")
        for rows in warm_up_records.BATCHES
        for long in (False, True)
    }
    file = folder / "assets.extra" / model_card.FILE
    card = json.loads(file.read_text("utf-8"))
    assert card["signatures"] == ["reward", "serving_default"]
    assert card["policy"]["kind"] == type(policy).__name__
    assert card["data"] == "none"


def test_without_stop_tokens_there_is_no_whole_answer(tmp_path):
    policy = tiny.policy("gru", stop_ids=())
    with pytest.raises(TokenRLError, match="without stop_ids"):
        policy.export_reward_model(tmp_path / "judge" / "1")
    assert not list((tmp_path / "judge").iterdir())
