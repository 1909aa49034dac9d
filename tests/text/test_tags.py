"""Schemes of tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.text import tags

KINDS = st.sampled_from(["A", "B", "a-b", "S"])
SPANS = st.lists(st.tuples(st.booleans(), KINDS, st.integers(1, 3)), max_size=5)
MARKS = {
    "IOB2": ("B", "I", "I", "B"),
    "BIOES": ("B", "I", "E", "S"),
    "BMEWO": ("B", "M", "E", "W"),
    "BILOU": ("B", "I", "L", "U"),
}


def written(spans, scheme, form):
    """Tags of spans, and the entities that were meant."""
    begin, inside, last, one = MARKS[scheme]
    made, meant = [], []
    for is_entity, kind, size in spans:
        if not is_entity:
            made += ["O"] * size
            continue
        meant.append((kind, len(made), len(made) + size - 1))
        marks = [one]
        if size > 1:
            marks = [begin, *[inside] * (size - 2), last]
        made += [form.format(mark=m, kind=kind) for m in marks]
    return made, meant


@pytest.mark.parametrize("scheme", MARKS)
@given(spans=SPANS)
def test_what_is_written_is_read(scheme, spans):
    for form in ("{mark}-{kind}", "{mark}_{kind}"):
        made, meant = written(spans, scheme, form)
        assert tags.entities(made) == meant
        assert tags.strict_entities(made, scheme != "IOB2") == meant
        assert tags.entities(tags.in_one_form(made)) == meant


@given(
    spans=st.lists(st.tuples(st.booleans(), st.just("LOC"), st.integers(1, 3)))
)
def test_positions_may_stand_behind(spans):
    made, meant = written(spans, "BIOES", "{kind}-{mark}")
    assert tags.entities(made) == meant


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("I-X I-X O I-X", "B-X I-X O B-X"),
        ("I-X B-X I-X I-Y", "B-X B-X I-X B-Y"),
        ("B-X I-X O B-Y", "B-X I-X O B-Y"),
        ("B-X E-X S-Y O", "B-X E-X S-Y O"),
        ("X-B X_I O", "B-X I-X O"),
        ("NN VB I-", "NN VB I-"),
        ("", ""),
    ],
)
def test_one_form(text, made):
    assert tags.in_one_form(text.split()) == made.split()
    assert tags.in_one_form(made.split()) == made.split()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("I-X I-X O", "IOB1"),
        ("I-X B-X O", "IOB1"),
        ("B-X I-X", "IOB2"),
        ("B O", "IOB2"),
        ("B-X M-X E-X", "BMEWO"),
        ("S-X O", "BIOES"),
        ("U-X O", "BILOU"),
        ("O O", ""),
        ("NN O", ""),
        ("0 1", ""),
    ],
)
def test_schemes(text, name):
    assert tags.scheme([text.split()]).name == name
