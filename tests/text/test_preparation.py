"""Preparation of prompts: what it keeps, and that the graph does the same."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.preparation import CLEANING, Preparation
from tf_tokenrl.text.stop_words import STOP_WORDS

ANY = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=30)
WORDS = st.lists(
    st.sampled_from(["The", "cat,", "it.", "====", "x²", "\n", "a\u200cb", "İ"])
).map(" ".join)
ALL = [
    Preparation(cleaning, *flags)
    for cleaning in CLEANING
    for flags in itertools.product([False, True], repeat=3)
]


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters()))
def test_clean_texts_have_no_loose_space_and_no_surrogates(text):
    for cleaning in ("text", "nfkc"):
        clean = Preparation(cleaning).answer(text)
        assert clean == " ".join(clean.split(" ")).strip(" ")
        clean.encode("utf-8")
        assert not {"\n", "\t", "\r", "\0"} & set(clean)


@pytest.mark.parametrize(
    ("text", "clean", "nfkc"),
    [
        ("  one\n\n\ttwo\u00a0 three ", "one two three", "one two three"),
        ("ｆｕｌｌ x²", "ｆｕｌｌ x²", "full x2"),
        ("10² + 2³", "10² + 2³", "102 + 23"),
        ("Cafe\u0301", "Café", "Café"),
        ("می\u200cخواهم", "می\u200cخواهم", "می\u200cخواهم"),
        ("a\0b\x07c", "abc", "abc"),
        ("a\ud800b", "a b", "a b"),
        ("Title\n=====\ntext ... --- x", *["Title text ... --- x"] * 2),
        ("wow!!!! 😀😀😀😀 ____", *["wow!!!! 😀😀😀😀 ____"] * 2),
        ("", "", ""),
    ],
)
def test_clean(text, clean, nfkc):
    assert Preparation().answer(text) == Preparation().prompt(text) == clean
    assert Preparation("nfkc").answer(text) == nfkc


def test_cleaning_can_be_turned_off():
    text = " x²\n\n  ==== \t\u200b "
    assert Preparation("none").prompt(text) == text
    assert Preparation("none").answer("a\0b") == "ab"  # nothing behind is lost
    with pytest.raises(TokenRLError, match='cleaning "all"'):
        Preparation("all")


def test_punctuation_and_stop_words():
    text = 'He said: "the re-run_of it" is, well, done; don\'t!'
    assert Preparation(remove_punctuation=True).prompt(text) == (
        "He said the re run of it is well done don t"
    )
    prepared = Preparation(remove_stop_words=True).prompt
    assert prepared("The cat, and IT. sat not there") == "cat, sat not"
    assert all(word == word.lower() for word in STOP_WORDS)


def test_letters_marks_and_symbols_are_no_punctuation():
    text = "हिन्दी 2 + 2 < 5 😀"
    assert Preparation(remove_punctuation=True).prompt(text) == text


def test_only_prompts_lose_words():
    preparation = Preparation("text", True, True, True)
    assert preparation.prompt("The  Cat, sat.") == "cat sat"
    assert preparation.answer("The  Cat, sat.") == "the cat, sat."


@pytest.mark.parametrize("preparation", ALL, ids=str)
@settings(deadline=None, max_examples=15)
@given(texts=st.lists(ANY | WORDS, min_size=1, max_size=8))
def test_the_graph_does_what_python_does(preparation, texts):
    found = preparation.graph([text.encode() for text in texts]).numpy()
    made = [text.decode() for text in found.tolist()]
    assert made == [preparation.prompt(text) for text in texts]


@pytest.mark.parametrize("preparation", ALL, ids=str)
@settings(deadline=None, max_examples=30)
@given(text=ANY | WORDS)
def test_what_is_prepared_stays_as_it_is(preparation, text):
    once = preparation.prompt(text)
    assert preparation.prompt(once) == once
