import keras_hub
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import tiny
from tf_tokenrl.text.label_codec import LabelCodec, letter_case, unpack


def codec(tokenizer=None, unit="word", **options):
    return LabelCodec(
        tokenizer or tiny.tokenizer(),
        tiny.TAGS,
        unit,
        **{
            "max_prompt_tokens": 24,
            "max_new_tokens": 22,
            "start_id": 2,
            "end_id": 3,
            "unknown_id": 1,
            "letter_case": True,
            **options,
        },
    )


@pytest.fixture(scope="module")
def words():
    return codec()


@pytest.mark.parametrize(
    "case, written",
    [
        (1, "12 . - 1996-08-30 \u200b 東京"),
        (2, "word 1st éa don't"),
        (3, "Word A É (Word) 1St Straße"),
        (4, "WORD U.S. A1B"),
        (5, "iWord McD O'Neil WORDs"),
    ],
)
def test_letter_case(case, written):
    found = letter_case(tf.constant(written.split(" "))).numpy()
    assert found.tolist() == [case] * len(found)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_every_word_has_one_place(words, prompts):
    strings = tf.constant([p.encode("utf-8", "replace") for p in prompts])
    # As `encode` does, which revives a tokenizer that other tests emptied.
    ids, lengths, truncated = words._run("_prompt_function", strings)
    tokens, cases, places = map(np.asarray, unpack(ids))
    counts = [len(p.encode("utf-8", "replace").split()) for p in prompts]
    for row, cut in enumerate(truncated.numpy()):
        assert cut or places[row].sum() == counts[row]
        assert not places[row, lengths[row] :].any()
        kept = tokens[row, : lengths[row]]
        assert kept[0] == 2 and kept[-1] == 3 and len(kept) <= 24
    assert cases.max() < 6


def test_words_are_tokenised_as_a_text_is(words):
    text = "the name of a given file"
    ids, _ = words.encode_prompts([text])
    tokens = np.asarray(unpack(ids)[0])[0]
    assert tokens[1:-1].tolist() == tiny.tokenizer()(text).tolist()


def test_a_word_that_vanishes_is_unknown(words):
    ids, _ = words.encode_prompts(["open \u200b file"])
    tokens, _, places = map(np.asarray, unpack(ids))
    assert places.sum() == 3 and 1 in tokens


def test_a_word_of_a_byte_pair_vocabulary_begins_with_its_space():
    letters = ["<s>", "<pad>", "</s>", "<mask>", "Ġ", "a", "b", "Ġa", "Ġab"]
    tokenizer = keras_hub.models.RobertaTokenizer(
        {letter: index for index, letter in enumerate(letters)},
        ["Ġ a", "Ġa b"],
    )
    made = codec(tokenizer, start_id=0, end_id=2)
    ids, _ = made.encode_prompts(["ab a b"])
    tokens, _, places = map(np.asarray, unpack(ids))
    assert tokens[0].tolist() == [0, 8, 7, 4, 6, 2]
    assert places[0].tolist() == [False, True, True, True, False, False]


def test_a_text_has_its_place_at_the_start():
    made = codec(unit="text", max_new_tokens=1)
    ids, mask = made.encode_prompts(["open the file", ""])
    places = np.asarray(unpack(ids)[2])
    assert places[:, 0].all() and not places[:, 1:].any()


def test_the_graph_reads_labels_as_python_does(words):
    answers = ["O B-X  I-X", "", "O"]
    ids, mask = words.encode_answers(answers)
    given, lengths, truncated = words.answer_graph(tf.constant(answers))
    np.testing.assert_array_equal(given.numpy()[mask], ids[mask])
    np.testing.assert_array_equal(lengths, mask.sum(-1))
    assert not truncated.numpy().any()
    texts = words.text_graph(given, tf.constant(mask)).numpy()
    assert texts.tolist() == [b"O B-X I-X", b"", b"O"]
    strange, _, cut = words.answer_graph(tf.constant(["B-Y " * 23]))
    assert set(strange.numpy()[0]) == {-1} and cut.numpy().all()
