"""Tables: CSV, tab-separated text, Parquet and Arrow, row by row.

A cell is the text that stands there: "null", "NA" and "nan" are words. An
empty cell of CSV is an empty text; a null of Parquet is no value.
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from tf_tokenrl.datasets.jsonl import Row, read_text
from tf_tokenrl.errors import TokenRLError

TEXT_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
ARROW_ENDINGS = (".parquet", ".arrow", ".feather")


def read_csv(path: Path) -> list[dict]:
    """Rows of comma-separated text with a header.

    Quotes follow RFC 4180: a quoted cell may hold commas and line breaks.

    Raises:
        TokenRLError: the file is unreadable, has no row, ends within quotes,
            or a row has another number of cells than the header.
    """
    text = read_text(path)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[list[str]] = []
    starts: list[int] = []
    before = 0
    try:
        for cells in reader:
            if cells:
                rows.append(cells)
                starts.append(before + 1)
            before = reader.line_num
    except csv.Error as error:
        raise TokenRLError(
            f'"{path}", the row that begins in line {before + 1} is not CSV '
            f"({error}): close its quotes, and write a quote in a cell twice."
        ) from error
    return _rows(path, rows, starts)


def read_tsv(path: Path) -> list[dict]:
    """Rows of tab-separated text with a header; a quote is a character.

    Raises:
        TokenRLError: the file is unreadable, has no row, or a line has
            another number of cells than the header.
    """
    lines = read_text(path).split("\n")
    numbered = [(n, line.removesuffix("\r")) for n, line in enumerate(lines, 1)]
    numbered = [(n, line) for n, line in numbered if line]
    cells = [line.split("\t") for _, line in numbered]
    return _rows(path, cells, [n for n, _ in numbered])


def read_arrow(path: Path) -> list[dict]:
    """Rows of a Parquet, Arrow or Feather file.

    Raises:
        TokenRLError: it is not there, or is not such a file.
    """
    import pyarrow  # half a second that other files do not need
    import pyarrow.feather
    import pyarrow.parquet

    if not path.is_file():
        raise TokenRLError(f'There is no file "{path}"; check the path.')
    try:
        if path.suffix == ".parquet":
            table = pyarrow.parquet.read_table(path)
        else:
            table = _read_ipc(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TokenRLError(
            f'"{path}" is not a {path.suffix[1:]} file ({reason}); check the '
            "file, or write it as .jsonl."
        ) from error
    if not table.num_rows:
        raise TokenRLError(f'"{path}" has no rows; give it some.')
    numbers = range(1, table.num_rows + 1)
    return _placed(path, table.to_pylist(), numbers, "row")


def _read_ipc(path: Path):
    """An Arrow file, or the stream that `datasets` writes."""
    import pyarrow

    try:
        return pyarrow.ipc.open_file(path).read_all()
    except pyarrow.ArrowInvalid:
        with pyarrow.memory_map(str(path)) as source:
            return pyarrow.ipc.open_stream(source).read_all()


def _rows(path: Path, rows: list[list[str]], lines: list[int]) -> list[dict]:
    """Cells with the names of the header, the first row."""
    if len(rows) < 2:
        raise TokenRLError(
            f'"{path}" has no rows below its header; give it a line with the '
            "names of the fields, then one line for each row."
        )
    header, *body = rows
    for cells, line in zip(body, lines[1:], strict=True):
        if len(cells) != len(header):
            raise TokenRLError(
                f'"{path}", line {line} has {len(cells)} fields where the '
                f"header has {len(header)} ({', '.join(header)}): give each "
                "row as many."
            )
    named = (dict(zip(header, cells, strict=True)) for cells in body)
    return _placed(path, named, lines[1:], "line")


def _placed(
    path: Path, rows: Iterable[dict], numbers: Iterable[int], unit: str
) -> list[dict]:
    placed = []
    for row, number in zip(rows, numbers, strict=True):
        placed.append(Row(row))
        placed[-1].place = f'"{path}", {unit} {number}'
    return list(placed)
