"""Adding records within a transaction: what is new, again, or refused."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from tf_tokenrl.feedback import tables
from tf_tokenrl.feedback.records import Answer, Judgement, Receipt

_AT_A_TIME = 500  # keys in one question; SQLite takes 32,766 parameters


def append(
    connection: sa.Connection, records: Sequence[Answer | Judgement | Receipt]
) -> list[Receipt]:
    """Insert what is new, answers first; a receipt stays as it is.

    Args:
        connection: within a transaction that holds the lock of writers.
        records: answers, judgements, and receipts of what was refused.
    """
    answers = {p: r for p, r in enumerate(records) if isinstance(r, Answer)}
    said = {p: r for p, r in enumerate(records) if isinstance(r, Judgement)}
    receipts = {p: r for p, r in enumerate(records) if isinstance(r, Receipt)}
    rows = [tables.answer_row(answer) for answer in answers.values()]
    found = _insert(connection, tables.answers, rows, [""] * len(rows))
    receipts |= dict(zip(answers, found, strict=True))
    rows = [tables.judgement_row(judgement) for judgement in said.values()]
    reasons = list(_reasons(connection, list(said.values())))
    found = _insert(connection, tables.judgements, rows, reasons)
    receipts |= dict(zip(said, found, strict=True))
    return [receipts[place] for place in range(len(records))]


def _insert(
    connection: sa.Connection,
    table: sa.Table,
    rows: list[dict[str, Any]],
    refused: Sequence[str],
) -> list[Receipt]:
    digests = lookup(connection, table, ("key", "digest"), _keys(rows))
    known = {key: digest for key, digest in digests}
    new, receipts = [], []
    for row, reason in zip(rows, refused, strict=True):
        key = row["key"]
        if key not in known and not reason:
            known[key] = row["digest"]
            new.append(row)
            receipts.append(Receipt(key, "stored"))
        elif key not in known:
            receipts.append(Receipt(key, "refused", reason))
        else:
            receipts.append(_known(table, row, known[key]))
    if new:
        connection.execute(table.insert(), new)
    return receipts


def _known(table: sa.Table, row: dict[str, Any], digest: bytes) -> Receipt:
    kind = table.name.removesuffix("s")
    if digest == row["digest"]:
        return Receipt(
            row["key"], "duplicate", f'The {kind} "{row["key"]}" is there.'
        )
    return Receipt(
        row["key"],
        "conflict",
        f'The key "{row["key"]}" belongs to another {kind}: give this one a '
        "key of its own.",
    )


def _keys(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["key"] for row in rows))


def _reasons(
    connection: sa.Connection, judgements: Sequence[Judgement]
) -> Iterator[str]:
    """Why each judgement is refused, "" where it is not."""
    keys = {j.answer for j in judgements}
    keys |= {j.other for j in judgements if j.other is not None}
    fields = ("key", "text", "prompt")
    found = {
        key: (text, prompt)
        for key, text, prompt in lookup(
            connection, tables.answers, fields, sorted(keys)
        )
    }
    for judgement in judgements:
        yield _reason(judgement, found)


def _reason(judgement: Judgement, found: dict[str, tuple[bytes, bytes]]) -> str:
    for key in (judgement.answer, judgement.other):
        if key is not None and key not in found:
            return f'The store has no answer "{key}": send the answer first.'
    text, prompt = found[judgement.answer]
    if judgement.other is not None and found[judgement.other][1] != prompt:
        return (
            f'"{judgement.answer}" and "{judgement.other}" answer different '
            "prompts: a pair needs one prompt."
        )
    if judgement.kind != "span":
        return ""
    length = len(text.decode("utf-8", "surrogatepass"))
    start, end = judgement.start or 0, judgement.end or 0
    if not 0 <= start < end <= length:
        return (
            f"The span {start} to {end} does not lie within the {length} "
            "characters of the answer, or is empty."
        )
    return ""


def lookup(
    connection: sa.Connection,
    table: sa.Table,
    fields: Sequence[str],
    keys: Sequence[str],
) -> Iterator[Sequence[Any]]:
    """Some fields of the rows of a table that have one of the keys."""
    query = sa.select(*tables.columns(table, fields))
    for begin in range(0, len(keys), _AT_A_TIME):
        some = keys[begin : begin + _AT_A_TIME]
        yield from connection.execute(query.where(table.c.key.in_(some)))
