import gzip
import json

import pytest

from tf_tokenrl.datasets import readers
from tf_tokenrl.datasets.splits import SPLITS
from tf_tokenrl.errors import TokenRLError

ROWS = [{"source": f"text number {i}", "target": str(i)} for i in range(300)]


def write(path, rows):
    text = "\n".join(map(json.dumps, rows))
    packed = gzip.compress(text.encode())
    path.write_bytes(packed if path.suffix == ".gz" else text.encode())
    return str(path)


def everything(data, field="source"):
    return {split: readers.read(data, split, field) for split in SPLITS}


def test_one_file_is_split_into_all_its_rows(tmp_path):
    found = everything(write(tmp_path / "rows.jsonl", ROWS))
    rows = [row for split in SPLITS for row in found[split]]
    assert sorted(map(str, rows)) == sorted(map(str, ROWS))
    assert len(found["train"]) > 200 and len(found["test"]) > 10


def test_the_split_of_a_text_ignores_order_and_form(tmp_path):
    other = [
        {**row, "source": row["source"].upper() + "!"} for row in ROWS[::-1]
    ]
    first = everything(write(tmp_path / "a.jsonl", ROWS))
    second = everything(write(tmp_path / "b.jsonl.gz", other))
    for split in SPLITS:
        assert {r["target"] for r in first[split]} == {
            r["target"] for r in second[split]
        }


def test_a_folder_has_its_own_splits(tmp_path):
    for i, split in enumerate(SPLITS):
        write(tmp_path / f"{split}.jsonl", [ROWS[i]])
    found = everything(str(tmp_path))
    assert found == {split: [ROWS[i]] for i, split in enumerate(SPLITS)}


def test_a_split_a_folder_lacks_is_cut_from_train(tmp_path):
    write(tmp_path / "train.jsonl.gz", ROWS)
    write(tmp_path / "test.jsonl", [{"source": "last", "target": "x"}])
    found = everything(str(tmp_path))
    assert len(found["test"]) == 1
    assert len(found["train"]) + len(found["validation"]) == len(ROWS)
    assert 10 < len(found["validation"]) < 60


def test_the_version_follows_the_content(tmp_path):
    path = write(tmp_path / "rows.jsonl", ROWS)
    before = readers.version(path)
    assert readers.version(path) == before
    write(tmp_path / "rows.jsonl", ROWS[1:])
    assert readers.version(path) != before


def test_texts_of_a_field():
    row = {"a": "x", "b": ["x", "y"], "c": None, "d": 3, "e": [], "f": {}}
    found = [readers.texts(row, field, "data") for field in "abcde"]
    assert found == [["x"], ["x", "y"], [], ["3"], []]
    with pytest.raises(
        TokenRLError, match='of "data": field "f".*another field'
    ):
        readers.texts(row, "f", "data")


def test_a_missing_field_is_named_with_those_there_are(tmp_path):
    path = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(TokenRLError, match='no field "text".*source, target'):
        readers.read(path, "train", "text")


def test_unknown_sources_and_splits_are_named(tmp_path):
    with pytest.raises(TokenRLError, match='"dev".*Available: test, train'):
        readers.read("docstrings", "dev")
    with pytest.raises(TokenRLError, match='what data "docstring" is'):
        readers.read("docstring", "train")
    with pytest.raises(TokenRLError, match="whose name says train"):
        readers.read(str(tmp_path), "train")
    write(tmp_path / "test.jsonl", ROWS)
    with pytest.raises(TokenRLError, match='neither .*"train"; it has test'):
        readers.read(str(tmp_path), "train")


def test_an_empty_split_is_named(tmp_path):
    path = write(tmp_path / "rows.jsonl", ROWS[:1])
    with pytest.raises(TokenRLError, match="split of .*rows.jsonl.* is empty"):
        everything(path)


@pytest.mark.parametrize("name", ["dev", "val", "valid", "my-dev"])
def test_a_split_has_many_names(tmp_path, name):
    for file, texts in (("train", "abc"), (name, "de"), ("test", "f")):
        rows = [json.dumps({"source": t}) for t in texts]
        (tmp_path / f"{file}.jsonl").write_text("\n".join(rows))
    sizes = [len(readers.read(str(tmp_path), s)) for s in readers.SPLITS]
    assert sizes == [3, 2, 1]


def test_files_that_are_not_read_are_named(tmp_path, capsys):
    for name in ("train", "notes"):
        (tmp_path / f"{name}.jsonl").write_text('{"source": "a"}')
    readers.version(str(tmp_path))
    assert "Not read: notes.jsonl" in capsys.readouterr().err


def test_a_nan_is_a_missing_value():
    row = {"a": float("nan"), "b": ["x", float("nan"), None, "nan"]}
    assert readers.texts(row, "a", "d") == []
    assert readers.texts(row, "b", "d") == ["x", "nan"]


def test_two_files_are_joined_line_by_line(tmp_path):
    source, target = tmp_path / "a.txt", tmp_path / "b.txt"
    source.write_bytes("a\nb\u2028c\n\nd".encode())
    target.write_bytes(b"A\r\nB\r\nC\r\nD\r\n")
    rows = readers._open(f"{source},{target}").rows("train")
    pairs = [(row["source"], row["target"]) for row in rows]
    assert pairs == [("a", "A"), ("b\u2028c", "B"), ("", "C"), ("d", "D")]
    target.write_bytes(b"A\nB\n")
    with pytest.raises(TokenRLError, match=r'has 4 lines and ".*b.txt" 2'):
        readers.read(f"{source},{target}", "train")


def test_a_group_stays_in_one_split(tmp_path):
    rows = [
        json.dumps({"source": f"text {i}", "doc": i // 10}) for i in range(300)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    homes = [
        {row["doc"] for row in readers.read(str(path), split, group="doc")}
        for split in readers.SPLITS
    ]
    assert all(homes)
    assert sum(map(len, homes)) == len(set.union(*homes)) == 30


def test_turns_of_a_dialogue_stay_in_one_split(tmp_path):
    rows = [
        json.dumps({"dialogue": [f"{i} {turn}" for turn in range(4)]})
        for i in range(60)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(rows))
    found = [readers.read(str(path), split) for split in readers.SPLITS]
    assert sum(map(len, found)) == 180
    homes = [{row["group"] for row in rows} for rows in found]
    assert sum(map(len, homes)) == 60
