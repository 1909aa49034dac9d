"""Words of many scripts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import tokenize

from tf_tokenrl.text.words import pieces, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Кошка сидит", ["кошка", "сидит"]),
        ("बिल्ली खिड़की", ["बिल्ली", "खिड़की"]),  # vowel signs stay
        ("Η γάτα", ["η", "γάτα"]),
        ("القط يجلس", ["القط", "يجلس"]),
        ("猫坐在。", ["猫", "坐", "在"]),
        ("ที่นั่ง", ["ที่", "นั่", "ง"]),
        ("コーヒー", ["コ", "ー", "ヒ", "ー"]),
        ("안녕 하세요", ["안녕", "하세요"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("A猫b", ["a", "猫", "b"]),
        ("done 😀👩\u200d👧🇩🇪", ["done", "😀", "👩\u200d👧", "🇩🇪"]),
        ("10² + 2_3", ["10²", "2", "3"]),
        ("e\u0301 É", ["é", "é"]),
        ("+ - ...", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_ascii_are_those_of_rouge_score(text):
    assert words(text) == tokenize.tokenize(text, None)


@given(st.text(st.characters(max_codepoint=0x2FF)))
def test_pieces_of_scripts_with_spaces_are_split_at_spaces(text):
    assert pieces(text) == text.split()


@given(st.text())
def test_pieces_lose_nothing_but_spaces(text):
    assert "".join(pieces(text)) == "".join(text.split())


def test_characters_are_pieces_where_there_are_no_spaces():
    assert pieces("猫坐 mat.") == ["猫", "坐", "mat."]
