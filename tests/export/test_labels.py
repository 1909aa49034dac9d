import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny

PROMPTS = ["the name of a Given file", "", "open"]
FREE = dict(temperature=1.0, max_new_tokens=0, top_k=0, top_p=1.0)
DTYPES = dict(
    seed=tf.int64,
    temperature=tf.float32,
    max_new_tokens=tf.int32,
    top_k=tf.int32,
    top_p=tf.float32,
)


@pytest.fixture(scope="module", params=["word", "text"])
def policy(request):
    return tiny.shared_label_policy(unit=request.param)


@pytest.fixture(scope="module")
def signatures(policy, tmp_path_factory):
    path = tmp_path_factory.mktemp("m") / policy.unit / "1"
    policy.export(path)
    return tf.saved_model.load(path).signatures


def ask(signature, **inputs):
    reply = signature(**{k: tf.constant(v) for k, v in inputs.items()})
    return {name: value.numpy() for name, value in reply.items()}


def generate(signatures, prompts, **options):
    inputs = {
        name: tf.fill([len(prompts)], tf.constant(value, DTYPES[name]))
        if np.ndim(value) == 0
        else tf.constant(value, DTYPES[name])
        for name, value in {**FREE, "seed": 0, **options}.items()
    }
    return ask(signatures["serving_default"], prompt=prompts, **inputs)


def joined(reply):
    rows = zip(reply["labels"], reply["lengths"], strict=True)
    return [b" ".join(labels[:length]) for labels, length in rows]


def test_the_likeliest_labels_are_those_of_the_policy(policy, signatures):
    name = "tag" if policy.unit == "word" else "classify"
    assert set(signatures) == {"serving_default", "score", name}
    rollout = tiny.sample(policy, PROMPTS, temperature=0.0)
    reply = ask(signatures[name], text=PROMPTS)
    width = reply["log_probs"].shape[1]
    assert width == rollout.mask.sum(-1).max()
    texts = [response.text.encode() for response in policy.decode(rollout)]
    assert joined(reply) == texts
    np.testing.assert_allclose(
        reply["log_probs"], rollout.log_probs[:, :width], atol=1e-5
    )
    assert not reply["truncated"].any()


def test_sampled_labels_are_those_of_the_policy(policy, signatures):
    seeds = np.array([[11, 0], [12, 0], [13, 0]])
    rollout = tiny.sample(policy, PROMPTS, seeds=seeds)
    reply = generate(signatures, PROMPTS, seed=[11, 12, 13])
    np.testing.assert_array_equal(reply["token_ids"], rollout.actions)
    np.testing.assert_array_equal(reply["lengths"], rollout.mask.sum(-1))
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            reply[name], getattr(rollout, name), atol=1e-5
        )
    texts = [response.text.encode() for response in policy.decode(rollout)]
    assert reply["text"].tolist() == texts
    assert reply["stopped"].all()
    alone = generate(signatures, PROMPTS[2:], seed=[13])
    np.testing.assert_array_equal(alone["token_ids"][0], rollout.actions[2])


def test_given_labels_are_scored(policy, signatures):
    answers = ["O", "B-X", "B-X"] if policy.unit == "text" else None
    answers = answers or ["O O O B-X I-X O", "", "B-X"]
    rollout = policy.encode_pairs(PROMPTS, answers)
    scores = policy.score(rollout, temperature=1.0)
    reply = ask(signatures["score"], prompt=PROMPTS, answer=answers)
    mask = rollout.mask
    np.testing.assert_array_equal(reply["lengths"], mask.sum(-1))
    np.testing.assert_array_equal(
        reply["token_ids"][mask], rollout.actions[mask]
    )
    for name in ("log_probs", "values"):
        np.testing.assert_allclose(
            reply[name][mask], getattr(scores, name).numpy()[mask], atol=1e-5
        )
    assert not reply["truncated"].any()


def test_labels_that_cannot_be_are_never_chosen(policy, signatures):
    reply = ask(signatures["score"], prompt=["open"], answer=["B-Y"])
    assert reply["log_probs"][0, 0] == -np.inf
    assert reply["token_ids"][0, 0] == -1


def test_what_does_not_fit_is_said(policy, signatures):
    long = ["the name of a list " * 9]
    reply = generate(signatures, long)
    assert reply["truncated"].all() and not reply["stopped"].any()
    if policy.unit == "word":
        reply = ask(signatures["score"], prompt=["open"], answer=["O O"])
        assert reply["truncated"].all() and reply["lengths"].tolist() == [1]


def test_odd_bytes_are_answered(signatures):
    reply = generate(signatures, [b"\xff\xfe open", b"\x00"])
    assert np.isfinite(reply["log_probs"]).all()
