"""A folder of prepared data: complete, or not there at all."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tf_tokenrl.datasets.jsonl import write_jsonl
from tf_tokenrl.datasets.screening import FATES
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

OPTIONS, STATISTICS, TOKENIZER = (
    "options.json",
    "statistics.json",
    "tokenizer.spm",
)


def is_current(folder: Path, options: dict) -> bool:
    """Whether `folder` holds what these options give.

    Raises:
        TokenRLError: something other than prepared data lies there.
    """
    if not folder.exists():
        return False
    try:
        return json.loads((folder / OPTIONS).read_text("utf-8")) == options
    except (OSError, ValueError) as error:
        raise TokenRLError(
            f'"{folder}" exists and is not a folder of prepared data; choose '
            "another output folder, or remove it."
        ) from error


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """An empty folder to write to, which becomes `folder` at the end.

    When the block raises, what was in `folder` is still there.

    Raises:
        TokenRLError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{folder.name}-", dir=folder.parent
        ) as place:
            new, old = Path(place, "new"), Path(place, "old")
            new.mkdir()
            yield new
            _swap(new, folder, old)
    except OSError as error:
        raise TokenRLError(
            f'Cannot write "{folder}" ({error.strerror or error}); make room '
            "or choose another output folder. What was there is unchanged."
        ) from error


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Put `new` in the place of `folder`, which becomes `old`."""
    existed = folder.exists()
    if existed:
        folder.rename(old)
    try:
        new.rename(folder)
    except BaseException:
        if existed:
            old.rename(folder)
        raise


def write_prepared(
    folder: Path,
    splits: dict[str, list[Example]],
    tokenizer: bytes,
    statistics: dict[str, dict[str, int]],
    options: dict,
) -> None:
    """Write the rows of each split, the tokenizer and how they came to be.

    Raises:
        TokenRLError: it cannot be written; nothing has changed then.
    """
    with replacing(folder) as new:
        for split, examples in splits.items():
            write_jsonl(new / f"{split}.jsonl", map(_row, examples))
        (new / TOKENIZER).write_bytes(tokenizer)
        for name, content in ((STATISTICS, statistics), (OPTIONS, options)):
            text = json.dumps(content, indent=2) + "\n"
            (new / name).write_text(text, "utf-8")


def table(statistics: dict[str, dict[str, int]]) -> str:
    """Counts in aligned columns, one per split."""
    found = {fate for counts in statistics.values() for fate in counts}
    rows = [fate for fate in FATES if fate in found]
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{split:>12}" for split in statistics)]
    for row in rows:
        cells = "".join(f"{c.get(row, 0):>12,}" for c in statistics.values())
        lines.append(f"{row:<{width}}{cells}")
    return "\n".join(lines)


def _row(example: Example) -> dict:
    several = len(example.references) > 1
    target = list(example.references) if several else example.reference
    return {"source": example.prompt, "target": target, "key": example.key}
