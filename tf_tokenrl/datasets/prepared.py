"""A folder of prepared data: complete, or not there at all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tf_tokenrl import files
from tf_tokenrl.datasets.screening import FATES
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.text.preparation import Preparation
from tf_tokenrl.text.tokenizer import load_processor, truncate

OPTIONS, STATISTICS, TOKENIZER = (
    "options.json",
    "statistics.json",
    "tokenizer.spm",
)


def recorded(folder: str | Path) -> dict:
    """The options with which a folder was prepared; none for other data.

    Raises:
        TokenRLError: they cannot be read.
    """
    folder = Path(folder)
    whole = all((folder / name).is_file() for name in (OPTIONS, STATISTICS))
    return files.read_json(folder / OPTIONS) if whole else {}


def is_current(folder: Path, options: dict) -> bool:
    """Whether `folder` holds what these options give.

    Raises:
        TokenRLError: something other than prepared data lies there.
    """
    if not folder.exists():
        return False
    try:
        return files.read_json(folder / OPTIONS) == files.finite(options)
    except TokenRLError as error:
        raise TokenRLError(
            f'"{folder}" exists and is not a folder of prepared data; choose '
            "another output folder, or remove it."
        ) from error


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
    remedy = (
        "make room or choose another output folder; what was there is unchanged"
    )
    with files.replacing_folder(folder, remedy) as new:
        for split, examples in splits.items():
            rows = map(_row, examples)
            files.write_json_lines(new / f"{split}.jsonl", rows)
        (new / TOKENIZER).write_bytes(tokenizer)
        files.write_json(new / STATISTICS, statistics)
        files.write_json(new / OPTIONS, options)


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


def preparation(folder: str | Path) -> Preparation | None:
    """What was done to the prompts of a folder; None: nothing, or unknown."""
    given = recorded(folder).get("preparation")
    return Preparation(**given) if given else None


def prompt_function(folder: str | Path) -> Callable[[str], str]:
    """What turns a prompt as it is typed into one of the folder's.

    Raises:
        TokenRLError: the folder does not say how its prompts were prepared.
    """
    options, steps = recorded(folder), preparation(folder)
    if steps is None:
        raise TokenRLError(
            f'"{folder}" does not say how its prompts were prepared: name a '
            "folder that `tf-tokenrl prepare` wrote."
        )
    processor = load_processor(Path(folder, TOKENIZER))
    room = options["max_prompt_tokens"] - 1

    def prepare(text: str) -> str:
        return truncate(processor, steps.prompt(text), room, steps.keep)

    return prepare


def _row(example: Example) -> dict:
    several = len(example.references) > 1
    target = list(example.references) if several else example.reference
    row: dict[str, Any] = {"source": example.prompt, "key": example.key}
    if example.references:
        row["target"] = target
    if example.fields:
        row["fields"] = dict(example.fields)
    if example.group:
        row["group"] = example.group
    return row
