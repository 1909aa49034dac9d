"""Rows of any source of data, one split at a time.

| data                     | what is read                                     |
|--------------------------|--------------------------------------------------|
| docstrings               | the docstrings of this installation              |
| tfds:NAME[/CONFIG]       | a TensorFlow data set                            |
| FILE.jsonl[.gz]          | a file of JSON objects                           |
| FILE.json                | questions and answers as SQuAD has them          |
| FILE.csv, .tsv[.gz]      | a table with the names of its fields on top      |
| FILE.parquet, .arrow     | a table                                          |
| FILE.conll[.gz]          | a word and its tag per line                      |
| SOURCE.txt,TARGET.txt    | two files of which the lines belong together     |
| FOLDER                   | such files, named after their splits             |

A split that the source lacks is cut out of its training rows: 10 % each for
validation and test, by a hash of the text or of the group.
"""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tf_tokenrl.datasets import conll, dialogue, squad, tables
from tf_tokenrl.datasets.jsonl import Row, digest, read_jsonl, read_text
from tf_tokenrl.datasets.splits import SPLITS, loose_form, split_of
from tf_tokenrl.errors import TokenRLError, unknown


class Source(NamedTuple):
    """The splits that are stored, how to read one, and which state it is."""

    splits: tuple[str, ...]
    rows: Callable[[str], list[dict]]
    version: Callable[[], str]


def read(
    data: str,
    split: str,
    field: str | tuple[str, ...] = "source",
    group: str = dialogue.GROUP,
) -> list[dict]:
    """The rows of one split of a source.

    Args:
        data: see the table above.
        split: "train", "validation" or "test".
        field: the field whose text decides the split of a row where the
            source lacks a split; see `texts`.
        group: a field that decides it instead, where a row has it.

    Raises:
        TokenRLError: an unknown source or split, an unreadable file, no rows.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    source = _open(data)
    home = split if split in source.splits else "train"
    if home not in source.splits:
        raise TokenRLError(
            f'"{data}" has neither a split "{split}" nor "train"; it has '
            f"{', '.join(source.splits) or 'none'}."
        )
    rows = [
        part
        for number, row in enumerate(source.rows(home))
        for part in _expanded(row, number, data)
    ]
    lacking = set(SPLITS) - set(source.splits)
    if home == "train" and lacking:
        homes = [_share(row, (field, group), data) for row in rows]
        homes = [h if h in lacking else "train" for h in homes]
        pairs = zip(rows, homes, strict=True)
        rows = [row for row, home in pairs if home == split]
    if not rows:
        raise TokenRLError(
            f'The {split} split of "{data}" is empty; give it more rows.'
        )
    return rows


def version(data: str) -> str:
    """A name for the present content of a source; it changes when that does.

    Raises:
        TokenRLError: an unknown source, an unreadable file.
    """
    return _open(data).version()


def texts(row: dict, field: str | tuple[str, ...], data: str) -> list[str]:
    """The text or texts in a field of a row; none where it is null.

    Args:
        row: of a source.
        field: its name, or several of which the first that is there counts.
        data: the source, for errors.

    Raises:
        TokenRLError: the row lacks the field, or it holds no text.
    """
    names = (field,) if isinstance(field, str) else field
    found = [name for name in names if name in row]
    if not found:
        raise TokenRLError(
            f'{place(row, data)} has no field "{names[0]}"; it has '
            f"{', '.join(sorted(row)) or 'none'}."
        )
    field = found[0]
    value: Any = row[field]
    values = value if isinstance(value, list) else [value]
    if not all(v is None or isinstance(v, (str, int, float)) for v in values):
        raise TokenRLError(
            f'{place(row, data)}: field "{field}" holds {str(value)[:60]}, '
            "which is neither a text nor a list of texts; choose another field."
        )
    return [str(v) for v in values if not _is_missing(v)]


def _is_missing(value: Any) -> bool:
    """Null, or the NaN that pandas leaves in its place."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _expanded(row: dict, number: int, data: str) -> list[dict]:
    """The rows of a dialogue, each in the place of the whole."""
    found = list(dialogue.expand(row, number, place(row, data)))
    if found == [row]:
        return [row]
    placed = [Row(part) for part in found]
    for part in placed:
        part.place = getattr(row, "place", "")
    return list(placed)


def place(row: dict, data: str, key: str = "") -> str:
    """Where a row stands, to begin a sentence with.

    Args:
        row: of a source.
        data: the source.
        key: the name of the row, which tells its split where it has no other.
    """
    name = f'Row "{key}"' if key else "A row"
    where = getattr(row, "place", "")
    return f"{name} of {where}" if where else f'{name} of "{data}"'


def _share(row: dict, deciding: tuple, data: str) -> str:
    field, group = deciding
    if row.get(group):
        return split_of(str(row[group]))
    return split_of(loose_form(" ".join(texts(row, field, data))))


_READERS: dict[str, Callable[[Path], list[dict]]] = {
    ".jsonl": read_jsonl,
    ".json": squad.read_squad,
    ".csv": tables.read_csv,
    ".tsv": tables.read_tsv,
    ".parquet": tables.read_arrow,
    ".arrow": tables.read_arrow,
    ".feather": tables.read_arrow,
} | dict.fromkeys(conll.ENDINGS, conll.read_conll)
_NAMES = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev", "development", "testa"},
    "test": {"test", "testing", "testb"},
}


def _open(data: str) -> Source:
    path = Path(data)
    if data == "docstrings" or data.startswith("tfds:"):
        return _tfds(data.removeprefix("tfds:"))
    if path.is_dir():
        return _folder(path)
    if reader := _reader(path):
        return _files({"train": path}, reader)
    if data.count(",") == 1 and not path.exists():
        return _parallel(*map(Path, data.split(",")))
    raise TokenRLError(
        f'Cannot tell what data "{data}" is: give "docstrings", "tfds:NAME", '
        f"a file that ends in {', '.join(_READERS)}, two text files as "
        "SOURCE.txt,TARGET.txt, or a folder with train.jsonl."
    )


def _reader(path: Path) -> Callable[[Path], list[dict]] | None:
    return _READERS.get(Path(path.name.removesuffix(".gz")).suffix)


def _tfds(name: str) -> Source:
    # A second of imports that files do not need.
    from tf_tokenrl.datasets.tfds_source import open_tfds, read_tfds

    builder = open_tfds(name)
    named = {_split_of(split) or split: split for split in builder.info.splits}
    named |= {s: s for s in SPLITS if s in builder.info.splits}
    return Source(
        tuple(named),
        lambda split: read_tfds(builder, named[split]),
        lambda: builder.info.full_name,
    )


def _folder(path: Path) -> Source:
    """The files of a folder whose names say which split they hold.

    Raises:
        TokenRLError: there are none, or two for one split.
    """
    found: dict[str, Path] = {}
    ignored = []
    for file in sorted(path.iterdir()):
        # Prepared data and other tools keep notes in .json files.
        if not file.is_file() or not _reader(file) or file.suffix == ".json":
            continue
        split = _split_of(file.name)
        if split is None:
            ignored.append(file.name)
        elif split in found and not _same(found[split], file):
            raise TokenRLError(
                f'"{found[split]}" and "{file}" both look like the {split} '
                "split: give each split one file."
            )
        else:
            found.setdefault(split, file)
    if not found:
        found = conll.find_splits(path)
        return _files(found, conll.read_conll) if found else _nothing(path)
    if ignored:
        print(
            f'Not read: {", ".join(ignored)} in "{path}", whose names say '
            "neither train, validation nor test.",
            file=sys.stderr,
        )
    ordered = {split: found[split] for split in SPLITS if split in found}
    return _files(ordered)


def _nothing(path: Path) -> Source:
    raise TokenRLError(
        f'Folder "{path}" holds no file whose name says train, validation or '
        f"test and which ends in {', '.join(_READERS)}; name the file itself "
        "or a prepared folder."
    )


def _same(one: Path, other: Path) -> bool:
    """Whether two names differ only in being packed."""
    return one.name == other.name.removesuffix(".gz")


def _split_of(name: str) -> str | None:
    words = set(re.split(r"[^a-z]+", name.lower()))
    splits = [split for split, names in _NAMES.items() if words & names]
    return splits[0] if len(splits) == 1 else None


def _parallel(source: Path, target: Path) -> Source:
    return Source(
        ("train",),
        lambda split: _aligned(source, target),
        lambda: digest([source, target]),
    )


def _aligned(source: Path, target: Path) -> list[dict]:
    """Line n of one file with line n of the other; only \\n ends a line.

    Raises:
        TokenRLError: they have different numbers of lines.
    """
    columns = [_lines(path) for path in (source, target)]
    first, second = map(len, columns)
    if first != second:
        raise TokenRLError(
            f'"{source}" has {first} lines and "{target}" {second}: the two '
            "must belong together line by line."
        )
    rows = []
    for number, (one, other) in enumerate(zip(*columns, strict=True), 1):
        rows.append(Row(source=one, target=other))
        rows[-1].place = f'"{source}", line {number}'
    return list(rows)


def _lines(path: Path) -> list[str]:
    lines = read_text(path).split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _files(
    files: dict[str, Path],
    reader: Callable[[Path], list[dict]] | None = None,
) -> Source:
    def rows(split: str) -> list[dict]:
        path = files[split]
        read = reader or _reader(path)
        assert read is not None  # only files with a reader come here
        return read(path)

    return Source(tuple(files), rows, lambda: digest(files.values()))
