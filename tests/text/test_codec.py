import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.text.codec import TextCodec
from tf_tokenrl.text.tokenizer import (
    load_processor,
    load_tokenizer,
    train_sentencepiece,
)

BYTES = range(4, 4 + 256)


@pytest.fixture(scope="module")
def proto():
    words = ("cat", "dog", "sun")
    texts = [f"the {w} is {x} of it" for w in words for x in "abc"]
    return train_sentencepiece(texts, 290)


def codec(proto, **options):
    given = dict(
        max_prompt_tokens=12,
        max_new_tokens=10,
        stop_ids=(3,),
        prompt_start_id=None,
        answer_start_id=2,
    )
    return TextCodec(load_tokenizer(proto), **{**given, **options})


@pytest.fixture(scope="module")
def text(proto):
    return codec(proto)


@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.lists(
            st.one_of(st.integers(0, 289), st.sampled_from(BYTES)), max_size=8
        ),
        min_size=1,
        max_size=4,
    )
)
def test_offsets_are_those_of_decoded_prefixes(text, rows):
    check_offsets(text, rows)


def test_characters_belong_to_the_byte_that_completes_them(text):
    euro = [4 + byte for byte in "€".encode()]
    (response,) = check_offsets(text, [[*euro, 3]])
    assert response.text == "€" and response.stopped
    assert response.offsets == ((0, 0), (0, 0), (0, 1), (1, 1))


def check_offsets(text, rows):
    width = max(1, *map(len, rows))
    actions = np.full((len(rows), width), 5, np.int32)
    mask = np.zeros(actions.shape, bool)
    for row, ids in enumerate(rows):
        actions[row, : len(ids)] = ids
        mask[row, : len(ids)] = True
    responses = text.decode(actions, mask)
    for ids, response in zip(rows, responses, strict=True):
        assert response.token_ids == tuple(ids)
        assert response.stopped == (ids[-1:] == [3])
        ends = [0]
        for t, (start, end) in enumerate(response.offsets):
            assert start == ends[-1] <= end
            ends.append(end)
            prefix = decoded(text, ids[: t + 1])
            assert prefix.startswith(response.text[:end])
            unfinished = prefix[end:]
            assert not unfinished.strip("\ufffd"), "only halves of characters"
        assert ends[-1] == len(response.text)
    return responses


def decoded(text, ids):
    """What the `sentencepiece` library itself makes of some ids."""
    kept = [i for i in ids if i != 3]
    return load_processor(text.tokenizer.proto).decode(kept)


@pytest.mark.parametrize("start", [None, 2])
@pytest.mark.parametrize("opener", [None, 1])
def test_prompts_are_opened_and_padded_on_the_right(proto, start, opener):
    if start is opener is None:
        return
    made = codec(proto, prompt_start_id=start, answer_start_id=opener)
    plain = codec(proto, prompt_start_id=7, answer_start_id=None)
    prompts = ["the cat", "", "the sun is a"]
    ids, mask = made.encode_prompts(prompts)
    bare, bare_mask = plain.encode_prompts(prompts)
    for row in range(3):
        words = list(bare[row][bare_mask[row]])[1:]
        before = [] if start is None else [start]
        after = [] if opener is None else [opener]
        assert list(ids[row][mask[row]]) == [*before, *words, *after]
        assert not ids[row][~mask[row]].any()
        assert (np.diff(mask[row].astype(int)) <= 0).all()


def test_a_cut_prompt_keeps_its_beginning_and_its_opener(text):
    text.revive()  # other tests may have emptied the cache of kernels
    prompts = ["the cat is a of it the cat is a of it", "the cat"]
    ids, lengths, truncated = tf.function(text.prompt_graph)(
        tf.constant(prompts)
    )
    np.testing.assert_array_equal(truncated, [True, False])
    assert lengths[0] == ids.shape[1] == 12
    np.testing.assert_array_equal(ids[0, :2], ids[1, :2])
    assert ids[0, -1] == 2


def test_answers_end_with_the_stop_token(text):
    ids, mask = text.encode_answers(["the cat", ""])
    for row in range(2):
        kept = ids[row][mask[row]]
        assert kept[-1] == 3 and (kept[:-1] != 3).all()
    assert [r.text for r in text.decode(ids, mask)] == ["the cat", ""]


def test_half_a_surrogate_pair_is_no_obstacle(text):
    ids, mask = text.encode_prompts(["the \ud83d cat"])
    assert mask.sum() > 3


def test_encoding_survives_a_new_seed(proto):
    made = codec(proto)
    before = made.encode_prompts(["the cat"])[0]
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        after = made.encode_prompts(["the cat"])[0]
        np.testing.assert_array_equal(before, after)
        response = made.decode(after[:, :-1], after[:, :-1] > 0)[0]
        assert response.text == "the cat"
