"""Rows of any source of data, one split at a time.

| data                | what is read                                          |
|---------------------|-------------------------------------------------------|
| docstrings          | the docstrings of this installation                   |
| tfds:NAME[/CONFIG]  | a TensorFlow data set                                 |
| FILE.jsonl[.gz]     | a file of JSON objects                                |
| FOLDER              | train, validation and test .jsonl[.gz] in the folder  |
| FILE.conll[.gz]     | a word and its tag per line, see `datasets.conll`     |
| FOLDER              | such files, named after their splits                  |

A split that the source lacks is cut out of its training rows: 10 % each for
validation and test, by a hash of the text.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tf_tokenrl.datasets.conll import find_splits, is_conll, read_conll
from tf_tokenrl.datasets.jsonl import ENDINGS, digest, read_jsonl
from tf_tokenrl.datasets.splits import SPLITS, normal_form, split_of
from tf_tokenrl.errors import TokenRLError, unknown


class Source(NamedTuple):
    """The splits that are stored, how to read one, and which state it is."""

    splits: tuple[str, ...]
    rows: Callable[[str], list[dict]]
    version: Callable[[], str]


def read(
    data: str, split: str, field: str | tuple[str, ...] = "source"
) -> list[dict]:
    """The rows of one split of a source.

    Args:
        data: see the table above.
        split: "train", "validation" or "test".
        field: the field whose text decides the split of a row where the
            source lacks a split; see `texts`.

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
    rows = source.rows(home)
    lacking = set(SPLITS) - set(source.splits)
    if home == "train" and lacking:
        rows = [r for r in rows if _share(r, field, data, lacking) == split]
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
    return [str(v) for v in values if v is not None]


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


def _share(row: dict, field, data: str, lacking: set[str]) -> str:
    place = split_of(normal_form(" ".join(texts(row, field, data))))
    return place if place in lacking else "train"


def _open(data: str) -> Source:
    path = Path(data)
    if data == "docstrings" or data.startswith("tfds:"):
        return _tfds(data.removeprefix("tfds:"))
    if path.is_dir():
        return _folder(path)
    if data.endswith(ENDINGS):
        return _files({"train": path}, read_jsonl)
    if is_conll(data):
        return _files({"train": path}, read_conll)
    raise TokenRLError(
        f'Cannot tell what data "{data}" is: give "docstrings", '
        '"tfds:NAME", a .jsonl or .conll file or a folder with train.jsonl.'
    )


def _tfds(name: str) -> Source:
    # A second of imports that files do not need.
    from tf_tokenrl.datasets.tfds_source import open_tfds, read_tfds

    builder = open_tfds(name)
    return Source(
        tuple(builder.info.splits),
        lambda split: read_tfds(builder, split),
        lambda: builder.info.full_name,
    )


def _folder(path: Path) -> Source:
    files = {
        split: path / f"{split}{ending}"
        for ending in reversed(ENDINGS)
        for split in SPLITS
        if (path / f"{split}{ending}").is_file()
    }
    if files:
        return _files(files, read_jsonl)
    if columns := find_splits(path):
        return _files(columns, read_conll)
    raise TokenRLError(
        f'Folder "{path}" holds no train.jsonl, validation.jsonl or '
        "test.jsonl, nor such column files; name the file itself or a "
        "prepared folder."
    )


def _files(
    files: dict[str, Path], reader: Callable[[Path], list[dict]]
) -> Source:
    return Source(
        tuple(files),
        lambda split: reader(files[split]),
        lambda: digest(files.values()),
    )
