import json
import math
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import disk
from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError

needs_limits = pytest.mark.skipif(
    disk.resource is None, reason="needs file size limits"
)
ROWS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_what_is_written_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    for text in ("old", "née\r\nnew\n"):
        assert files.write_text(path, text) == path
        assert path.read_bytes().decode() == text
    assert os.listdir(path.parent) == ["a.txt"]


@settings(max_examples=30, deadline=None)
@given(values=st.dictionaries(st.text(), ROWS))
def test_json_comes_back(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("json")
    path = files.write_json(folder / "a.json", values)
    assert files.read_json(path) == values
    path = files.write_json_lines(folder / "a.jsonl", [values, values])
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [values, values]


def test_numbers_that_json_does_not_have_are_null(tmp_path):
    values = {"a": [math.nan, 1.5], "b": {"c": (math.inf, -math.inf)}}
    path = files.write_json(tmp_path / "a.json", values)
    expected = {"a": [None, 1.5], "b": {"c": [None, None]}}
    assert files.read_json(path) == expected


def test_half_a_surrogate_pair_is_written_as_its_escape(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"a": "\udc80"})
    assert files.read_json(path) == {"a": "\udc80"}


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("made", [files.replacing, files.replacing_folder])
def test_a_block_that_fails_changes_nothing(tmp_path, made, error):
    path = tmp_path / "there"
    path.write_text("old")
    wanted = TokenRLError if error is OSError else error
    with pytest.raises(wanted), made(path) as place:
        target = place / "a" if place.is_dir() else place
        target.write_text("half")
        raise error
    assert os.listdir(tmp_path) == ["there"]
    assert path.read_text() == "old"


def test_a_folder_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "deep" / "folder"
    for name in ("old", "new"):
        with files.replacing_folder(path) as place:
            (place / name).touch()
        assert os.listdir(path) == [name]
    assert os.listdir(path.parent) == ["folder"]
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o777


def test_a_folder_that_cannot_be_renamed_leaves_the_old(tmp_path, monkeypatch):
    path = tmp_path / "folder"
    (path / "old").mkdir(parents=True)
    rename = os.replace

    def fail(source, target):
        if os.path.isdir(os.path.join(source, "new")):
            raise PermissionError(1, "Operation not permitted")
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with (
        pytest.raises(TokenRLError, match="Operation not permitted"),
        files.replacing_folder(path) as place,
    ):
        (place / "new").mkdir()
    assert os.listdir(tmp_path) == ["folder"]
    assert os.listdir(path) == ["old"]


@needs_limits
def test_a_full_disk_is_one_sentence(tmp_path):
    path = files.write_json(tmp_path / "a.json", {"a": 1})
    with disk.full(), pytest.raises(TokenRLError) as caught:
        files.write_json(path, {"a": "x" * 1000})
    assert str(caught.value) == (
        f'Cannot write "{path}" (File too large): free some space or choose '
        "another place."
    )
    assert os.listdir(tmp_path) == ["a.json"]
    assert files.read_json(path) == {"a": 1}


def test_errors_of_other_kinds_count_where_asked(tmp_path):
    with (
        pytest.raises(TokenRLError, match=r"\(first\): move it\."),
        files.replacing_folder(tmp_path / "a", "move it", (KeyError,)),
    ):
        error = KeyError()
        error.message = "first\nsecond"
        raise error


def test_a_place_that_cannot_be_is_named(tmp_path):
    (tmp_path / "file").touch()
    for write in (files.write_text, files.write_json):
        with pytest.raises(TokenRLError, match="Cannot write .*file/a"):
            write(tmp_path / "file" / "a", "")


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "not valid JSON"),
        (b"\xff{}", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", "holds a JSON list, not a JSON object"),
        (b"null", "holds a JSON null"),
        (None, "Cannot read .*No such file"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, message):
    path = tmp_path / "a.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TokenRLError, match=message) as caught:
        files.read_json(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\r\n\nb", ["a", "", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        ("a\u2028b\x85c\x0cd\x0be".encode(), ["a\u2028b\x85c\x0cd\x0be"]),
    ],
)
def test_lines_end_at_line_feeds_alone(data, found):
    assert files.lines(data, "it") == found


def test_a_line_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good\n\xff\n")
    with pytest.raises(TokenRLError, match='a.txt", line 2, is not UTF-8'):
        files.read_lines(path, "prompts")
    with pytest.raises(TokenRLError, match="Cannot read the prompts"):
        files.read_lines(tmp_path / "b.txt", "prompts")
