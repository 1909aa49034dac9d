"""Column files as of CoNLL-2003: a word a line, an empty line between texts.

    EU NNP I-NP I-ORG
    rejects VBZ I-VP O

The first column is the word, the last its tag; white space separates them.
A row has each column as a field of its own too (`column_1`, ...), for files in
another order. Lines that start with -DOCSTART- are left out, and so are
comments: lines that start with # and are not a word with a known tag.
"""

import re
from pathlib import Path

from tf_tokenrl.datasets.jsonl import read_text
from tf_tokenrl.datasets.splits import SPLITS
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.text.tags import read

ENDINGS = (".conll", ".bio", ".iob", ".iob2")
_DOCUMENT = "-DOCSTART-"
_NAMES = {
    "train": ("train",),
    "validation": ("testa", "valid", "dev"),
    "test": ("testb", "test"),
}


def is_conll(path: str | Path) -> bool:
    """Whether a file's name says that it has columns."""
    return str(path).removesuffix(".gz").endswith(ENDINGS)


def find_splits(folder: Path) -> dict[str, Path]:
    """The files of a folder whose names say which split they hold.

    `eng.train`, `eng.testa` and `eng.testb` are such, `dev.conll`, or
    `test.txt.gz`.

    Raises:
        TokenRLError: two files claim one split.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        split = _split(path)
        if split in found:
            raise TokenRLError(
                f'"{found[split]}" and "{path}" both look like the {split} '
                "split: give each split one file."
            )
        if split:
            found[split] = path
    return {split: found[split] for split in SPLITS if split in found}


def read_conll(path: Path) -> list[dict]:
    """Rows with `source`, words joined by spaces, and `target`, their tags.

    With more than two columns, `column_1` to `column_N` hold each of them.

    Raises:
        TokenRLError: the file is missing, unreadable or not UTF-8, holds no
            word, or has a line with another number of columns than the
            first.
    """
    rows: list[dict] = []
    words: list[list[str]] = []
    lines = [
        re.split(r"[ \t]+", line.strip(" \t\r"))
        for line in read_text(path).split("\n")
    ]
    shapes = {(len(f), f[-1]) for f in lines if not f[0].startswith("#")}
    columns = 0
    for number, fields in enumerate(lines, start=1):
        if fields == [""] or fields[0] == _DOCUMENT:
            rows += _row(words)
            words = []
            continue
        if _is_comment(fields, shapes):
            continue
        columns = columns or len(fields)
        if len(fields) < 2 or len(fields) != columns:
            raise TokenRLError(
                f'"{path}", line {number} has {len(fields)} columns '
                f"({' '.join(fields)[:40]!r}) where {max(columns, 2)} are "
                "expected: write a word and its tag, with the same columns on "
                "each line."
            )
        words.append(fields)
    rows += _row(words)
    if not rows:
        raise TokenRLError(
            f'"{path}" is empty; give it one word and its tag per line.'
        )
    return rows


def _is_comment(fields: list[str], shapes: set[tuple[int, str]]) -> bool:
    """Whether a line only tells something about a text.

    A hashtag is a word: it has as many columns as other lines, and a tag that
    another line has or that is written as tags are.

    Args:
        fields: of the line.
        shapes: how many fields the other lines have, and their last.
    """
    if not fields[0].startswith("#"):
        return False
    counts = {count for count, _ in shapes}
    known = (len(fields), fields[-1]) in shapes
    tag = read(fields[-1]) is not None and len(fields) in counts
    return not (known or tag)


def _row(words: list[list[str]]) -> list[dict]:
    """One row, or none where there are no words."""
    if not words:
        return []
    columns = list(map(" ".join, zip(*words, strict=True)))
    row = {"source": columns[0], "target": columns[-1]}
    if len(columns) > 2:
        row |= {f"column_{i}": text for i, text in enumerate(columns, 1)}
    return [row]


def _split(path: Path) -> str | None:
    """The split that a file's name tells of; "testa" is none of "test"."""
    name = path.name.lower().removesuffix(".gz")
    plain = not name.endswith((".md", ".json", ".jsonl", ".spm"))
    if not path.is_file() or not plain:
        return None
    for split, words in _NAMES.items():
        if any(word in name for word in words):
            return split
    return None
