import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl import files
from tf_tokenrl.datasets.jsonl import digest, read_jsonl
from tf_tokenrl.errors import TokenRLError

ROWS = st.dictionaries(st.text(), st.text() | st.lists(st.text()))


@settings(deadline=None, max_examples=50)
@given(st.lists(ROWS, min_size=1))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    files.write_json_lines(path, rows)
    assert read_jsonl(path) == rows


def test_reads_gzip_byte_order_marks_and_empty_lines(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    text = '\ufeff{"a": "é"}\r\n\n{"a": "\u2028"}'
    path.write_bytes(gzip.compress(text.encode()))
    assert read_jsonl(path) == [{"a": "é"}, {"a": "\u2028"}]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty"]),
        (b"\n \n", ["is empty"]),
        (b'{"a": 1}\n{"a": \xe9}', ["not UTF-8", "line 2", "0xe9", "15"]),
        (b'{"a": 1}\n{"a": }', ["line 2", "not JSON"]),
        (b'["a"]', ["line 1", "no JSON object"]),
        (b"[" * 100_000, ["line 1"]),
    ],
)
def test_bad_files_are_named_with_the_place(tmp_path, content, words):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(TokenRLError) as error:
        read_jsonl(path)
    assert "\n" not in str(error.value)
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "content", [b"not gzip", gzip.compress(b"{}" * 99, mtime=0)[:-9]]
)
def test_bad_gzip_is_named(tmp_path, content):
    path = tmp_path / "bad.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(TokenRLError, match="bad.jsonl.gz"):
        read_jsonl(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="no file .*absent.jsonl"):
        read_jsonl(tmp_path / "absent.jsonl")
    with pytest.raises(TokenRLError, match="Cannot read"):
        read_jsonl(tmp_path)


def test_the_digest_changes_with_content_and_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1"), two.write_text("2")
    states = {
        digest([one]),
        digest([two]),
        digest([one, two]),
        digest([two, one]),
    }
    assert len(states) == 4
    two.write_text("1")
    assert digest([one]) == digest([two])
