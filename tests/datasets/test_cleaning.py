import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.datasets import cleaning
from tf_tokenrl.datasets.stop_words import STOP_WORDS


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters()))
def test_clean_texts_have_no_loose_space_and_no_surrogates(text):
    clean = cleaning.clean(text)
    assert clean == " ".join(clean.split(" ")).strip(" ")
    clean.encode("utf-8")
    assert not {"\n", "\t", "\r", "\0"} & set(clean)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("  one\n\n\ttwo\u00a0 three ", "one two three"),
        ("ｆｕｌｌ ﬁ x²", "full fi x2"),
        ("Cafe\u0301", "Café"),
        ("a\0b\x07c", "abc"),
        ("a\ud800b", "a b"),
        ("Title\n=====\ntext ... --- x", "Title text ... --- x"),
        ("", ""),
    ],
)
def test_clean(text, clean):
    assert cleaning.clean(text) == clean


def test_punctuation_and_stop_words():
    text = 'He said: "the re-run_of it" is, well, done; don\'t!'
    assert cleaning.without_punctuation(text) == (
        "He said the re run of it is well done don t"
    )
    assert cleaning.without_stop_words("The cat, and IT. sat not there") == (
        "cat, sat not"
    )
    assert all(word == word.lower() for word in STOP_WORDS)


def test_only_prompts_lose_words():
    prompt, answer = cleaning.steps(True, True, True)
    assert prompt("The  Cat, sat.") == "cat sat"
    assert answer("The  Cat, sat.") == "the cat, sat."
    prompt, answer = cleaning.steps(False, False, False)
    assert prompt("The  Cat, sat.") == answer("The  Cat, sat.")
