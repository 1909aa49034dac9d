"""Files and folders that are written whole or not at all, and JSON.

A file is written beside its place and renamed, so that whoever reads it finds
the old one or the new one. Whatever the system refuses (a full disk, a folder
that is not writable) is one sentence.
"""

import contextlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tf_tokenrl.errors import TokenRLError

UNFINISHED = ".unfinished-"  # begins the name of what is not whole yet
_NAMES = {dict: "object", list: "list", str: "string", bool: "boolean"}
_NAMES |= {int: "number", float: "number", type(None): "null"}
_REMEDY = "free some space or choose another place"
RESUME = "free some space, then go on from the last checkpoint by --resume"


def unwritable(
    path: str | Path, error: Exception, remedy: str = _REMEDY
) -> TokenRLError:
    """The sentence for a file or folder that cannot be written."""
    reason = getattr(error, "strerror", "") or getattr(error, "message", "")
    # TensorFlow puts the name of a graph's node before the reason.
    reason = re.sub(r"\{\{.*?\}\}", "", reason or str(error)).strip()
    lines = reason.splitlines() or [repr(error)]
    return TokenRLError(f'Cannot write "{path}" ({lines[0]}): {remedy}.')


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a file to write, which becomes `path` when the block ends.

    Its name has the suffix of `path`, by which some writers choose a format.

    Raises:
        TokenRLError: it cannot be written; an older file stays as it was.
    """
    path = Path(path)
    partial = path.with_name(UNFINISHED + path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def replacing_folder(
    path: str | Path,
    remedy: str = _REMEDY,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[Path]:
    """Yield an empty folder, which becomes `path` when the block ends.

    Args:
        path: where it belongs; an older folder is removed at the end.
        remedy: what the reader of the error can do.
        also: errors besides `OSError` that mean it cannot be written.

    Raises:
        TokenRLError: it cannot be written; an older folder stays as it was.
    """
    path = Path(path)
    place = None
    refused: tuple[type[Exception], ...] = (OSError, *also)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=path.parent))
        new, old = place / path.name, place / "replaced"
        new.mkdir()  # `mkdtemp` lets nobody else read, `mkdir` does
        yield new
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(new, path)
        except BaseException:
            if old.exists():
                os.replace(old, path)
            raise
    except refused as error:
        raise unwritable(path, error, remedy) from error
    finally:
        if place:
            shutil.rmtree(place, ignore_errors=True)


def lines(data: bytes, name: str) -> list[str]:
    """The lines of a text in UTF-8, without their ends.

    Only line feeds end a line, with or without a carriage return before:
    `str.splitlines` also cuts at U+2028, U+0085 and form feeds, which stand
    within lines of the world's text.

    Args:
        data: the text; a mark of its byte order is left out.
        name: of where it comes from, for the error.

    Raises:
        TokenRLError: a line is not UTF-8.
    """
    found = []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise TokenRLError(
                f"{name}, line {number}, is not UTF-8 (byte "
                f"{line[error.start]:#04x}): convert it, for instance with "
                '"iconv -f latin1 -t utf-8".'
            ) from error
        found.append(text.removesuffix("\r"))
    if not found[-1]:  # after the last line feed
        found.pop()
    return found


def read_lines(path: str | Path, what: str) -> list[str]:
    """The lines of a file; see `lines`.

    Args:
        what: what the file holds, for the error.

    Raises:
        TokenRLError: it cannot be read, or a line is not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise TokenRLError(
            f'Cannot read the {what} in "{path}": {error.strerror}.'
        ) from error
    return lines(data, f'"{path}"')


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file in UTF-8; lines end as `text` has them.

    Raises:
        TokenRLError: it cannot be written; an older file stays as it was.
    """
    with replacing(path) as partial:
        partial.write_text(text, "utf-8", newline="")
    return Path(path)


def write_json(path: str | Path, values: Any) -> Path:
    """Write a JSON file; see `finite` and `write_text`."""
    text = json.dumps(finite(values), indent=2, ensure_ascii=False) + "\n"
    # Half a surrogate pair has no UTF-8; JSON's own escape looks the same.
    return write_text(path, text.encode("utf-8", "backslashreplace").decode())


def write_json_lines(path: str | Path, rows: Iterable[Any]) -> Path:
    """Write one line of JSON per row; see `write_text`."""
    with (
        replacing(path) as partial,
        partial.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for row in rows:
            file.write(json.dumps(finite(row)) + "\n")
    return Path(path)


def finite(values: Any) -> Any:
    """The same with null for NaN and infinity, which JSON does not have."""
    if isinstance(values, Mapping):
        return {name: finite(value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return [finite(value) for value in values]
    if isinstance(values, float) and not math.isfinite(values):
        return None
    return values


def read_json(path: str | Path, kind: type = dict) -> Any:
    """Read a JSON file that holds a `kind`, an object by default.

    Raises:
        TokenRLError: it cannot be read, is not JSON, or holds something else.
    """
    try:
        values = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise TokenRLError(
            f'Cannot read "{path}" ({error.strerror or error}): check the path.'
        ) from error
    except (ValueError, RecursionError) as error:
        raise TokenRLError(
            f'"{path}" is not valid JSON ({error}): write it again or delete '
            "it."
        ) from error
    if not isinstance(values, kind):
        raise TokenRLError(
            f'"{path}" holds a JSON {_NAMES[type(values)]}, not a JSON '
            f"{_NAMES[kind]}: write it again or delete it."
        )
    return values
