"""Column files as of CoNLL-2003: a word a line, an empty line between texts.

    EU NNP I-NP I-ORG
    rejects VBZ I-VP O

The first column is the word, the last its tag; white space separates them.
Lines that start with -DOCSTART- are left out.
"""

import re
from pathlib import Path

from tf_tokenrl.datasets.jsonl import read_text
from tf_tokenrl.datasets.splits import SPLITS
from tf_tokenrl.errors import TokenRLError

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

    Raises:
        TokenRLError: the file is missing, unreadable or not UTF-8, holds no
            word, or has a line with another number of columns than the
            first.
    """
    rows: list[dict] = []
    words: list[tuple[str, str]] = []
    columns = 0
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        fields = re.split(r"[ \t]+", line.strip(" \t\r"))
        if fields == [""] or fields[0] == _DOCUMENT:
            rows += _row(words)
            words = []
            continue
        columns = columns or len(fields)
        if len(fields) < 2 or len(fields) != columns:
            raise TokenRLError(
                f'"{path}", line {number} has {len(fields)} columns '
                f"({line.strip()[:40]!r}) where {max(columns, 2)} are "
                "expected: write a word and its tag, with the same columns on "
                "each line."
            )
        words.append((fields[0], fields[-1]))
    rows += _row(words)
    if not rows:
        raise TokenRLError(
            f'"{path}" is empty; give it one word and its tag per line.'
        )
    return rows


def _row(words: list[tuple[str, str]]) -> list[dict]:
    """One row, or none where there are no words."""
    if not words:
        return []
    source, target = map(" ".join, zip(*words, strict=True))
    return [{"source": source, "target": target}]


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
