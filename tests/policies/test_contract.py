"""What every exported SavedModel promises; see docs/savedmodel.md."""

import functools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tests.support import exports, tiny
from tests.support.exports import FREE, GREEDY
from tests.support.processes import serve_once
from tf_tokenrl.export import warm_up_records

PROMPTS = ["the name of a given file", "", "open"]
SEEDS = [11, 12, 13]
LONG = "the name of a list " * 9
ODD = ["\xff\xfe open", "\x00", LONG]
FAST = ("llama",)  # the rest are slow, and asked in a process of their own
SLOW = tuple(kind for kind in exports.KINDS if kind not in FAST)


@pytest.fixture(
    scope="module",
    params=[*FAST, *(pytest.param(k, marks=pytest.mark.slow) for k in SLOW)],
)
def kind(request):
    return request.param


@pytest.fixture
def policy(kind):
    return exports.policy(kind)


@functools.cache
def asked(kind):
    """Name -> request."""
    folder = exports.path(kind)
    generate = functools.partial(exports.generate, folder)
    given = answers(kind)
    requests = {
        "greedy": generate(PROMPTS, **GREEDY),
        "free": generate(PROMPTS, **{**FREE, "seed": SEEDS}),
        "alone": generate(PROMPTS[2:], **{**FREE, "seed": 13}),
        "crowd": generate([LONG, *PROMPTS], **{**FREE, "seed": [9, *SEEDS]}),
        "odd": generate(ODD, **GREEDY),
        "short": generate(PROMPTS, **{**GREEDY, "max_new_tokens": [1, 3, 900]}),
        "score": exports.score(folder, PROMPTS, given),
        "score_alone": exports.score(folder, PROMPTS[:1], given[:1]),
        "score_odd": exports.score(folder, [*ODD, "open"], [*ODD[::-1], LONG]),
    }
    if exports.labels(kind):
        ask = [str(folder), exports.LABELLING[kind]]
        requests["likeliest"] = [*ask, {"text": PROMPTS}]
        requests["likeliest_odd"] = [*ask, {"text": ODD}]
    return requests


@functools.cache
def answered(group):
    """Kind -> what a process of its own replied, alone and under load."""
    requests = [r for kind in group for r in asked(kind).values()]
    both = [iter(replies) for replies in exports.serve(*requests)]
    return {
        kind: [{name: next(found) for name in asked(kind)} for found in both]
        for kind in group
    }


@pytest.fixture
def replies(kind):
    return answered(FAST if kind in FAST else SLOW)[kind][0]


def answers(kind):
    if kind == "tags":
        return ["O O O B-X I-X O", "", "B-X"]
    return ["O", "B-X", "I-X"] if kind == "classes" else ["list", "", "a name"]


# The graph.


def test_the_signatures_are_those_promised(kind):
    saved, _ = exports.graph(exports.path(kind))
    own = {"stream_begin", "stream_advance"}
    if exports.labels(kind):
        own = {exports.LABELLING[kind]}
    elif kind in ("mistral", "t5"):  # they cannot stream
        own = set()
    signatures = dict(saved.signature_def)
    served = {name for name in signatures if not name.startswith("__")}
    assert served == {"serving_default", "score", *own}
    generating = signatures["serving_default"].inputs
    found = {name: tf.as_dtype(t.dtype) for name, t in generating.items()}
    assert found == exports.INPUTS


def test_every_tensor_has_a_row_per_row(kind):
    exports.assert_rows_first(exports.path(kind))


def test_only_ops_of_the_stock_server(kind):
    exports.assert_stock_ops(exports.path(kind))


def test_weights_are_stored_once(kind, policy):
    exports.assert_weights_once(exports.path(kind), policy)


@pytest.mark.slow
def test_half_precision_stores_weights_once(tmp_path):
    """What is cast once for all steps is not kept in both precisions."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        policy = tiny.policy("llama")
    finally:
        keras.config.set_dtype_policy(before)
    policy.export(tmp_path / "half" / "1")
    needed = 4 * policy.count_params()
    assert exports.stored_bytes(tmp_path / "half" / "1") == needed


# Answers.


def same(kind, prompts, rollout, reply):
    policy = exports.policy(kind)
    width = rollout.actions.shape[1]
    np.testing.assert_array_equal(reply["token_ids"], rollout.actions)
    np.testing.assert_array_equal(reply["lengths"], rollout.mask.sum(-1))
    for name in ("log_probs", "values"):
        assert np.shape(reply[name]) == (len(prompts), width)
        np.testing.assert_allclose(
            reply[name], getattr(rollout, name), atol=1e-4
        )
    for row, response in enumerate(policy.decode(rollout)):
        served = reply["text"][row].encode("latin-1")
        assert served.decode("utf-8", "replace") == response.text
        assert reply["stopped"][row] == response.stopped
    assert not any(reply["truncated"])


def test_greedy_answers_are_those_of_the_policy(kind, policy, replies):
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    same(kind, PROMPTS, rollout, replies["greedy"])


def test_sampled_answers_are_those_of_the_policy(kind, policy, replies):
    seeds = np.array([[seed, 0] for seed in SEEDS])
    rollout = tiny.sample(policy, PROMPTS, seeds=seeds)
    same(kind, PROMPTS, rollout, replies["free"])


def test_scores_are_those_of_the_policy(kind, policy, replies):
    pairs = policy.encode_pairs(PROMPTS, answers(kind))
    scores, reply = policy.score(pairs, temperature=1.0), replies["score"]
    np.testing.assert_array_equal(reply["token_ids"], pairs.actions)
    np.testing.assert_array_equal(reply["lengths"], pairs.mask.sum(-1))
    for name in ("log_probs", "values"):
        expected = np.where(pairs.mask, getattr(scores, name), 0.0)
        np.testing.assert_allclose(reply[name], expected, atol=1e-4)
    assert not any(reply["truncated"])
    alone = replies["score_alone"]
    count = reply["lengths"][0]
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            alone[name][0][:count], reply[name][0][:count], atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("kind", exports.LABELLING)
def test_labels_are_the_likeliest(policy, replies):
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    reply = replies["likeliest"]
    for row, response in enumerate(policy.decode(rollout)):
        count = reply["lengths"][row]
        assert " ".join(reply["labels"][row][:count]) == response.text
        np.testing.assert_allclose(
            reply["log_probs"][row][:count],
            rollout.log_probs[row][rollout.mask[row]],
            atol=1e-4,
        )
    assert replies["likeliest_odd"]["truncated"] == [False, False, True]


def chosen(reply, row):
    """All that an answer consists of."""
    count = reply["lengths"][row]
    ids, log_probs = reply["token_ids"][row], reply["log_probs"][row]
    return reply["text"][row], ids[:count], log_probs[:count]


def test_neighbours_change_nothing(replies):
    for name, row in (("alone", 0), ("crowd", 3)):
        *own, log_probs = chosen(replies[name], row)
        *expected, others = chosen(replies["free"], 2)
        assert own == expected
        np.testing.assert_allclose(log_probs, others, atol=1e-5)


def test_load_and_restarts_change_nothing(kind, replies):
    together = answered(FAST if kind in FAST else SLOW)[kind][1]
    again = {
        name: serve_once.ask(exports.servable(kind), signature, inputs)
        for name, (_, signature, inputs) in asked(kind).items()
    }
    for name, reply in replies.items():
        for other in (together[name], again[name]):
            for output, value in reply.items():
                if np.asarray(value).dtype.kind == "f":
                    np.testing.assert_allclose(other[output], value, atol=1e-5)
                else:
                    assert other[output] == value


def test_another_seed_gives_another_answer(kind):
    if exports.labels(kind):
        prompts, seeds = ["a list of the name"] * 40, [*range(40)]
    else:
        prompts, seeds = ["open"] * 8, [*range(8)]
    options = {**FREE, "seed": seeds}
    _, name, inputs = exports.generate("", prompts, **options)
    reply = exports.ask(kind, name, **inputs)
    assert len({str(ids) for ids in reply["token_ids"]}) > 1


def test_awkward_prompts_are_answered(kind, policy, replies):
    assert replies["odd"]["truncated"] == [False, False, True]
    assert np.isfinite(replies["odd"]["log_probs"]).all()
    if exports.labels(kind):
        return
    scored, limit = replies["score_odd"], policy.max_new_tokens
    assert scored["truncated"] == [True, False, True, True]
    assert np.isfinite(scored["log_probs"]).all()
    assert (scored["lengths"][0], scored["lengths"][3]) == (limit, limit)


def test_a_row_may_ask_for_less(kind, policy, replies):
    free = np.array(replies["greedy"]["lengths"])
    limited = np.minimum(free, [1, 3, policy.max_new_tokens])
    expected = free if exports.labels(kind) else limited
    np.testing.assert_array_equal(replies["short"]["lengths"], expected)


# Beside the graph.


def records(kind):
    file = exports.path(kind) / "assets.extra" / warm_up_records.FILE
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        yield PredictionLog.FromString(record).predict_log.request


def test_warm_up_asks_every_signature_of_users(kind):
    saved, _ = exports.graph(exports.path(kind))
    seen = set()
    for request in records(kind):
        name = request.model_spec.signature_name
        signature = saved.signature_def[name]
        assert request.model_spec.name == kind
        assert set(request.inputs) == set(signature.inputs)
        feeds = {
            signature.inputs[alias].name: tf.make_ndarray(proto)
            for alias, proto in request.inputs.items()
        }
        (rows,) = {len(array) for array in feeds.values()}
        widest = max(len(t) for a in feeds.values() for t in a.astype("S"))
        fetches = [output.name for output in signature.outputs.values()]
        for output in exports.servable(kind).run(feeds, fetches):
            assert len(output) == rows
        seen.add((name, rows, widest > 5))
    users = {name for name in saved.signature_def if not name.startswith("__")}
    assert seen == {
        (name, rows, long)
        for name in users - {"stream_advance"}
        for rows in warm_up_records.BATCHES
        for long in (False, True)
    }


def test_the_model_card_is_true(kind, policy):
    file = exports.path(kind) / "assets.extra" / "model_card.json"
    card = json.loads(file.read_text("utf-8"))
    saved, _ = exports.graph(exports.path(kind))
    served = {n for n in saved.signature_def if not n.startswith("__")}
    assert set(card["signatures"]) == served
    described = card["policy"]
    assert described["kind"] == type(policy).__name__
    assert described["parameters"] == policy.count_params()
    assert described["max_new_tokens"] == policy.max_new_tokens
    assert described.get("labels", []) == list(getattr(policy, "labels", []))
    size = policy.tokenizer.vocabulary_size()
    assert card["tokenizer"]["vocabulary_size"] == size
