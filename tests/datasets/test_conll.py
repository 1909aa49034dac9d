import gzip

import pytest

from tf_tokenrl.datasets import conll, readers
from tf_tokenrl.errors import TokenRLError

TEXT = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

Peter\tNNP  I-NP I-PER\r
"""
ROWS = [
    {"source": "EU rejects", "target": "I-ORG O"},
    {"source": "Peter", "target": "I-PER"},
]


def write(path, text=TEXT):
    content = text.encode("utf-8")
    path.write_bytes(
        gzip.compress(content) if path.suffix == ".gz" else content
    )
    return path


@pytest.mark.parametrize("name", ["eng.train", "train.conll.gz"])
def test_words_and_tags_are_read(tmp_path, name):
    assert conll.read_conll(write(tmp_path / name)) == ROWS


def test_white_space_inside_a_line_may_be_tabs_or_spaces(tmp_path):
    path = write(tmp_path / "x.conll", "a\tO\n\u00a0b \t O\n\n\nc O")
    rows = conll.read_conll(path)
    assert [row["source"] for row in rows] == ["a \u00a0b", "c"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("a O\nb\n", "line 2 has 1 columns .'b'. where 2"),
        ("a X O\n\nb O\n", "line 3 has 2 columns"),
        ("word\n", "line 1 has 1 columns"),
        ("-DOCSTART- O\n\n", "is empty; give it one word"),
        ("", "is empty"),
    ],
)
def test_malformed_files_are_named_with_the_line(tmp_path, text, message):
    path = write(tmp_path / "x.conll", text)
    with pytest.raises(TokenRLError, match=message) as error:
        conll.read_conll(path)
    assert str(path) in str(error.value)


def test_a_folder_tells_its_splits_by_name(tmp_path):
    for name in ("eng.train", "eng.testa.gz", "eng.testb", "README.md"):
        write(tmp_path / name)
    found = conll.find_splits(tmp_path)
    assert {split: path.name for split, path in found.items()} == {
        "train": "eng.train",
        "validation": "eng.testa.gz",
        "test": "eng.testb",
    }
    assert readers.read(str(tmp_path), "validation") == ROWS
    before = readers.version(str(tmp_path))
    write(tmp_path / "eng.train", TEXT + "\nmore O")
    assert readers.version(str(tmp_path)) != before


def test_two_files_for_one_split_are_refused(tmp_path):
    write(tmp_path / "dev.conll")
    write(tmp_path / "valid.conll")
    with pytest.raises(TokenRLError, match="both look like the validation"):
        readers.read(str(tmp_path), "train")


def test_one_file_is_split_by_its_texts(tmp_path):
    text = "\n\n".join(f"word{i} O\nand O" for i in range(300))
    path = str(write(tmp_path / "all.bio", text))
    sizes = [len(readers.read(path, split)) for split in readers.SPLITS]
    assert sum(sizes) == 300 and min(sizes) > 10
