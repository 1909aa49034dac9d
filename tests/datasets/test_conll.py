import gzip

import pytest

from tf_tokenrl import tasks
from tf_tokenrl.datasets import conll, readers
from tf_tokenrl.errors import TokenRLError

TEXT = """-DOCSTART- -X- O O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

Peter\tNNP  I-NP I-PER\r
"""
ROWS = [
    {
        "source": "EU rejects",
        "target": "I-ORG O",
        "column_1": "EU rejects",
        "column_2": "NNP VBZ",
        "column_3": "I-NP I-VP",
        "column_4": "I-ORG O",
    },
    {
        "source": "Peter",
        "target": "I-PER",
        "column_1": "Peter",
        "column_2": "NNP",
        "column_3": "I-NP",
        "column_4": "I-PER",
    },
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


@pytest.mark.parametrize(
    "comment",
    [
        "# id 7a9a-0001\tdomain=train",  # MultiCoNER, as many columns as words
        "# text = Says Bob",  # CoNLL-U
        "#sent_id=3",
        "# newdoc",
        "#",
    ],
)
def test_comments_are_no_words(tmp_path, comment):
    text = f"{comment}\nsays _ _ O\n\n{comment}\n#now _ _ O\nBob _ _ B-PER\n"
    rows = conll.read_conll(write(tmp_path / "x.conll", text))
    assert [row["source"] for row in rows] == ["says", "#now Bob"]
    assert rows[1]["target"] == "O B-PER"


@pytest.mark.parametrize("gap", [" ", "\t"])
def test_hashtags_and_number_signs_are_words(tmp_path, gap):
    text = f"#Friday{gap}B-misc\n#{gap}O\n1{gap}O\n"
    rows = conll.read_conll(write(tmp_path / "x.conll", text))
    assert rows == [{"source": "#Friday # 1", "target": "B-misc O O"}]


def test_columns_stand_in_any_order(tmp_path):
    text = "\n\n".join(f"1 B-X Ann{i} PN\n2 O sat V" for i in range(60))
    path = write(tmp_path / "x.conll", text)
    task = tasks.get(
        "ner", data=str(path), source="column_3", target="column_2"
    )
    example = task.examples("train")[0]
    assert example.prompt.endswith(" sat")
    assert example.reference == "B-X O"
