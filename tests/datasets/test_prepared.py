import json
import os

import pytest

from tf_tokenrl import files, tasks
from tf_tokenrl.datasets import prepared
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

SPLITS = {
    "train": [Example("p", ("a", "b"), "k"), Example("q", ("c",), "l")],
    "validation": [Example("r", ("d",), "m")],
    "test": [Example("s", ("e",), "n")],
}


def write(folder, options):
    prepared.write_prepared(folder, SPLITS, b"model", {"train": {}}, options)


def test_a_task_reads_what_was_written(tmp_path):
    folder = tmp_path / "deep" / "data"
    write(folder, {"seed": 1})
    task = tasks.get("headline", data=str(folder))
    assert {split: task.examples(split) for split in SPLITS} == SPLITS
    assert (folder / prepared.TOKENIZER).read_bytes() == b"model"
    assert json.loads((folder / prepared.STATISTICS).read_text()) == {
        "train": {}
    }
    assert os.listdir(folder.parent) == ["data"]


def test_a_folder_is_current_for_its_own_options_only(tmp_path):
    folder = tmp_path / "data"
    assert not prepared.is_current(folder, {"seed": 1})
    write(folder, {"seed": 1})
    assert prepared.is_current(folder, {"seed": 1})
    assert not prepared.is_current(folder, {"seed": 2})


def test_what_is_not_prepared_data_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(TokenRLError, match="not a folder of prepared data"):
        prepared.is_current(tmp_path, {})
    file = tmp_path / "thesis.txt"
    with pytest.raises(TokenRLError, match="thesis.txt"):
        prepared.is_current(file, {})


def test_a_failure_changes_nothing(tmp_path):
    folder = tmp_path / "data"
    write(folder, {"seed": 1})
    with pytest.raises(KeyError), files.replacing_folder(folder) as new:
        (new / "half").write_text("written")
        raise KeyError
    assert prepared.is_current(folder, {"seed": 1})
    assert os.listdir(tmp_path) == ["data"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenRLError, match="Cannot write .*data"):
        write(tmp_path / "file" / "data", {})


def test_a_full_disk_loses_nothing(tmp_path):
    resource = pytest.importorskip("resource")
    folder = tmp_path / "data"
    write(folder, {"seed": 1})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(TokenRLError, match="Cannot write .*make room"):
            prepared.write_prepared(folder, SPLITS, bytes(60_000), {}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert prepared.is_current(folder, {"seed": 1})
    assert os.listdir(tmp_path) == ["data"]


def test_the_table_is_aligned():
    lines = prepared.table(
        {"train": {"rows in": 1234, "rows out": 9}, "test": {"rows in": 1}}
    ).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["rows", "in", "1,234", "1"]
    assert lines[2].split() == ["rows", "out", "9", "0"]
