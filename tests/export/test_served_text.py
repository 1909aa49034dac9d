"""Text inside the graph: split as outside it, and forgotten."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import exports, tiny
from tf_tokenrl.text.tokenizer import load_processor

PIECES = ("gpt2", "mistral", "lstm", "bart", "t5")  # with SentencePiece


@pytest.mark.parametrize(
    "kind",
    ["llama", *(pytest.param(k, marks=pytest.mark.slow) for k in PIECES)],
)
@settings(deadline=None, max_examples=30)
@given(texts=st.lists(exports.ANY_TEXT, min_size=1, max_size=6))
def test_the_graph_splits_texts_as_the_library_does(kind, texts):
    """The score of an answer names its tokens; SentencePiece is the oracle."""
    processor = load_processor(tiny.tokenizer().proto)
    encoded = [text.encode().decode("latin-1") for text in texts]
    reply = exports.ask(kind, "score", prompt=encoded, answer=encoded)
    limit = exports.policy(kind).max_new_tokens
    for row, text in enumerate(texts):
        expected = [*processor.encode(text), 3][:limit]
        assert reply["token_ids"][row][: reply["lengths"][row]] == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", exports.LABELLING)
@settings(deadline=None, max_examples=100)
@given(texts=st.lists(exports.ANY_TEXT, min_size=1, max_size=6))
def test_labels_are_those_of_the_words_that_python_splits(kind, texts):
    """Each word gets one; what it is comes from the trainer's codec."""
    encoded = [text.encode() for text in texts]
    latin = [text.decode("latin-1") for text in encoded]
    reply = exports.ask(kind, exports.LABELLING[kind], text=latin)
    whole = [row for row, cut in enumerate(reply["truncated"]) if not cut]
    counts = [len(encoded[row].split()) for row in whole]
    if kind == "classes":
        counts = [1] * len(whole)
    assert [reply["lengths"][row] for row in whole] == counts
    kept = [texts[row] for row in whole]
    if not kept:
        return
    policy = exports.policy(kind)
    rollout = tiny.sample(policy, kept, temperature=0.0)
    for row, response in zip(whole, policy.decode(rollout), strict=True):
        found = reply["labels"][row][: reply["lengths"][row]]
        assert " ".join(found) == response.text


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(texts=st.lists(exports.ANY_TEXT, min_size=1, max_size=6))
def test_byte_pairs_are_split_as_the_trainer_did(texts):
    encoded = [text.encode().decode("latin-1") for text in texts]
    reply = exports.ask("byte_pair", "score", prompt=encoded, answer=encoded)
    ids, lengths, _ = trainers_graph()(tf.constant(texts))
    np.testing.assert_array_equal(reply["token_ids"], ids)
    np.testing.assert_array_equal(reply["lengths"], lengths)


@functools.cache
def trainers_graph():
    """With KerasHub's own table of words."""
    answer_graph = exports.policy("byte_pair").text.answer_graph
    signature = [tf.TensorSpec([None], tf.string)]
    return tf.function(answer_graph, input_signature=signature)


@pytest.mark.slow
@pytest.mark.parametrize("kind", exports.KINDS)
def test_words_never_seen_leave_nothing_behind(kind):
    before, after = exports.growth(exports.path(kind), "score")
    assert after - before < exports.GROWTH


@pytest.mark.slow
def test_the_policy_still_splits_words_after_an_export(tmp_path):
    policy = exports.byte_pair_policy()
    texts = ["the name", "<|end|>the  name "]
    before = policy.encode(texts)[0]
    policy.export(tmp_path / "model" / "1")
    np.testing.assert_array_equal(policy.encode(texts)[0], before)
