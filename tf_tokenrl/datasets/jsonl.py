"""JSON Lines files, gzipped or not: one object per line, UTF-8."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path

from tf_tokenrl.errors import TokenRLError

ENDINGS = (".jsonl", ".jsonl.gz")


class Row(dict):
    """A row, and where it stands, as '"rows.jsonl", line 7'."""

    place: str = ""


def read_jsonl(path: Path) -> list[dict]:
    """The objects of a file, empty lines aside.

    Raises:
        TokenRLError: the file is missing, unreadable or not UTF-8, holds no
            object, or has a line that is none.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    rows = [_row(path, n, line) for n, line in lines if line.strip()]
    if not rows:
        raise TokenRLError(
            f'"{path}" is empty; give it one JSON object per line.'
        )
    return rows


def digest(paths: Iterable[Path]) -> str:
    """A hash of the content of files, in the order given.

    Raises:
        TokenRLError: a file is missing or unreadable.
    """
    state = hashlib.sha256()
    for path in paths:
        state.update(hashlib.sha256(_content(path)).digest())
    return state.hexdigest()[:16]


def _row(path: Path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TokenRLError(
            f'"{path}", line {number} is not JSON ({error}); write one object '
            'per line, such as {"source": "...", "target": "..."}.'
        ) from error
    if not isinstance(row, dict):
        raise TokenRLError(
            f'"{path}", line {number} holds no JSON object but '
            f"{line.strip()[:40]!r}; write one object per line, such as "
            '{"source": "...", "target": "..."}.'
        )
    placed = Row(row)
    placed.place = f'"{path}", line {number}'
    return placed


def read_text(path: Path) -> str:
    """A file's text, unpacked where its name ends in .gz.

    Raises:
        TokenRLError: the file is missing, unreadable or not UTF-8.
    """
    content = _content(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise TokenRLError(
            f'"{path}" is not UTF-8: line {number} holds the byte '
            f"0x{content[error.start]:02x} at offset {error.start}; save the "
            "file as UTF-8."
        ) from error


def _content(path: Path) -> bytes:
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path) as file:
                return file.read()
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TokenRLError(
            f'There is no file "{path}"; check the path.'
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise TokenRLError(
            f'Cannot read "{path}" ({error}); check the file.'
        ) from error
