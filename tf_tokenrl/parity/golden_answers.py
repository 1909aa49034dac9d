"""A trainer's greedy answers on record, to hold any server against.

A record is a file of JSON lines: `prompt`, `text`, `token_ids` and
`log_probs` (nats, at temperature 1) of one answer each. `tf-tokenrl export
--prompts` and the demo write one beside the SavedModel; `serving/smoke.py`
asks a server the same.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tf_tokenrl import files
from tf_tokenrl.client import Client, Reply
from tf_tokenrl.errors import TokenRLError

TOLERANCE = 1e-4  # nats


class RecordedAnswer(NamedTuple):
    """What the trainer answered to a prompt, greedily."""

    prompt: str
    text: str
    token_ids: tuple[int, ...]
    log_probs: tuple[float, ...]


def beside(savedmodel: str | Path) -> Path:
    """Where the record of a SavedModel lies; servers take no notice of it."""
    path = Path(savedmodel)
    return path.with_name(f"{path.name}.answers.jsonl")


def write(path: str | Path, answers: Iterable[RecordedAnswer]) -> Path:
    """Write a record, whole or not at all."""
    rows = (answer._asdict() for answer in answers)
    return files.write_json_lines(path, rows)


def read(path: str | Path) -> list[RecordedAnswer]:
    """Read a record.

    Raises:
        TokenRLError: it cannot be read, is empty, or a line is no answer.
    """
    answers = [
        _answer(line, f"{path}:{number}")
        for number, line in enumerate(files.read_lines(path, "answers"), 1)
        if line.strip()
    ]
    if not answers:
        raise TokenRLError(f'"{path}" holds no answers: record some.')
    return answers


def compare(
    client: Client, answers: Sequence[RecordedAnswer], batch_size: int = 50
) -> dict:
    """Ask a server greedily what the trainer was asked.

    Returns:
        `prompts` and `identical_answers`, counts; `largest_log_prob_gap` in
        nats, over the tokens of identical answers; `equal`, whether all
        answers are the same and the gap is at most 1e-4.
    """
    replies: list[Reply] = []
    for start in range(0, len(answers), batch_size):
        asked = answers[start : start + batch_size]
        replies += client.generate([answer.prompt for answer in asked])
    same, gap = 0, 0.0
    for reply, answer in zip(replies, answers, strict=True):
        if reply.token_ids != answer.token_ids:
            continue
        same += 1
        pairs = zip(reply.log_probs, answer.log_probs, strict=True)
        gap = max([gap, *(abs(served - kept) for served, kept in pairs)])
    return {
        "prompts": len(answers),
        "identical_answers": same,
        "largest_log_prob_gap": gap,
        "equal": same == len(answers) and gap <= TOLERANCE,
    }


def _answer(line: str, place: str) -> RecordedAnswer:
    try:
        row = json.loads(line)
        return RecordedAnswer(
            str(row["prompt"]),
            str(row["text"]),
            tuple(map(int, row["token_ids"])),
            tuple(map(float, row["log_probs"])),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise TokenRLError(
            f"{place} is no recorded answer: it needs prompt, text, token_ids "
            "and log_probs."
        ) from error
