"""Values are compared with Python's own decoder, texts with RapidJSON's."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.serving.http.rest import json_text
from tf_tokenrl.serving.http.rest.json_text import parse, shown
from tf_tokenrl.serving.status import StatusError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def slowly(body):
    return json_text._Reader(body).read()


def failure(body):
    with pytest.raises(StatusError) as caught:
        parse(body)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    return caught.value.text


@settings(max_examples=50)
@given(values, st.booleans(), st.sampled_from([None, 1]))
def test_both_readers_agree_with_python(value, ascii_only, indent):
    text = json.dumps({"a": value}, ensure_ascii=ascii_only, indent=indent)
    try:
        body = text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return
    expected = repr(json.loads(text))
    assert repr(parse(body)) == repr(slowly(body)) == expected


@given(st.binary())
def test_no_bytes_do_harm(body):
    try:
        assert isinstance(parse(body), dict)
    except StatusError as error:
        assert error.code.name == "INVALID_ARGUMENT"


@given(st.text('{}[]",:\\u0aNI.e-+1 tr\x00', max_size=20))
def test_what_one_reader_takes_the_other_takes(text):
    text = f'{{"a": {text}}}'
    try:
        fast = json_text._DECODER.raw_decode(text)[0]
    except ValueError:
        return
    assert repr(slowly(text.encode())) == repr(fast)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("NaN", "nan"),
        ("-NaN", "nan"),
        ("Infinity", "inf"),
        ("-Infinity", "-inf"),
        ("Inf", "inf"),
        ("-Inf", "-inf"),
    ],
)
def test_numbers_beyond_json(word, value):
    assert repr(parse(f'{{"a": {word}}}'.encode())["a"]) == value


@pytest.mark.parametrize("read", [parse, slowly])
def test_integers_beyond_64_bits_are_doubles(read):
    body = b'{"a": [18446744073709551615, 18446744073709551616, -1e19]}'
    assert repr(read(body)["a"]) == repr([2**64 - 1, 2.0**64, -1e19])


def test_what_follows_is_ignored():
    assert parse(b'{"a": 1} {"b": 2}') == {"a": 1}
    assert parse(b'  {"a": 1}}]\xff') == {"a": 1}
    assert parse(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_of_two_names_the_first_counts():
    body = b'{"a": 1, "a": 2, "b": 3}'
    assert parse(body)["a"] == slowly(body)["a"] == 1


@pytest.mark.parametrize("text", [b"\xff\x00"[:1], b"a\xc3", b"\xed\xb0\x80"])
def test_bytes_that_are_no_text_pass(text):
    value = parse(b'{"a": "' + text + b'"}')["a"]
    assert value.encode(errors="surrogateescape") == text
    assert slowly(b'"' + text + b'"') == value


def test_surrogate_pairs():
    assert parse(rb'{"a": "\ud83d\ude00"}') == {"a": "\U0001f600"}


def test_many_levels():
    depth = 50_000
    value = parse(b'{"a": ' + b"[" * depth + b"]" * depth + b"}")["a"]
    levels = 1
    while value:
        (value,) = value
        levels += 1
    assert levels == depth


def test_unfinished_and_endless_levels(monkeypatch):
    assert failure(b'{"a": ' * 5000) == (
        "JSON Parse error: Invalid value. at offset: 30000"
    )
    assert failure(b"[" * 5000 + b"]" * 5000).endswith("... Is not object")
    monkeypatch.setattr(json_text, "_DEEPEST", 1000)
    assert failure(b"[" * 5000) == (
        "JSON Parse error: Terminate parsing due to Handler error. at offset: "
        "1001"
    )


ERRORS = [
    (b" ", "The document is empty.", 1),
    (b"\x00", "The document is empty.", 0),
    (b"{", "Missing a name for object member.", 1),
    (b'{"a": 1,}', "Missing a name for object member.", 8),
    (b"{1: 2}", "Missing a name for object member.", 1),
    (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
    (b'{"a": 1 "b"}', "Missing a comma or '}' after an object member.", 8),
    (b'{"a": 01}', "Missing a comma or '}' after an object member.", 7),
    (b"[1 2]", "Missing a comma or ']' after an array element.", 3),
    (b"[1,]", "Invalid value.", 3),
    (b"[tru]", "Invalid value.", 4),
    (b"[-]", "Invalid value.", 2),
    (b"[nul", "Invalid value.", 4),
    (b"?", "Invalid value.", 0),
    (b"[1.]", "Miss fraction part in number.", 3),
    (b"[1e]", "Miss exponent in number.", 3),
    (b"[1e400]", "Number too big to be stored in double.", 1),
    (b"[-" + b"9" * 400 + b"]", "Number too big to be stored in double.", 1),
    (b'["a', "Missing a closing quotation mark in string.", 3),
    (b'["a\nb"]', "Invalid escape character in string.", 3),
    (rb'["a\x"]', "Invalid escape character in string.", 3),
    (rb'["a\u12"]', "Incorrect hex digit after \\u escape in string.", 3),
    (rb'["a\ud800"]', "The surrogate pair in string is invalid.", 3),
    (rb'["a\ud800\u0061"]', "The surrogate pair in string is invalid.", 3),
]


@pytest.mark.parametrize(("body", "reason", "offset"), ERRORS)
def test_errors_are_those_of_rapidjson(body, reason, offset):
    assert failure(body) == f"JSON Parse error: {reason} at offset: {offset}"


def test_an_empty_body():
    assert failure(b"") == "JSON Parse error: The document is empty"


@pytest.mark.parametrize(
    ("body", "text"), [(b"[]", "[]"), (b"1.5", "1.5"), (b"NaN", "NaN")]
)
def test_only_objects_are_requests(body, text):
    assert failure(body) == f"JSON Value: {text} Is not object"


def test_values_are_shown_on_one_line_of_256_bytes_at_most():
    assert shown({"a": [1, "é"], "b": {}}) == '{"a": [1, "é"], "b": {}}'
    assert shown(-math.inf) == "-Infinity"
    assert len(shown("a" * 254).encode()) == 256
    for text in ("a" * 5000, "é" * 5000, "a" + "🦊" * 99):
        cut = shown(text).encode(errors="surrogateescape")
        assert len(cut) == 256 and cut.endswith(b"...")
