"""The append-only store of answers and judgements."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import tables
from tf_tokenrl.feedback.appending import append, lookup
from tf_tokenrl.feedback.database import Database
from tf_tokenrl.feedback.records import (
    Answer,
    Judged,
    Judgement,
    Receipt,
    read_record,
)

_PAGE = 1000  # rows that are read in one transaction


class FeedbackStore:
    """Answers and what was said about them; rows are added, never changed.

    Safe to share between threads and between processes. A record is there,
    on disk, when `append` returns; where `append` raises, nothing of it is.

        with FeedbackStore("sqlite:///runs/feedback.db") as store:
            store.append([answer, Judgement(answer=answer.key, kind="thumb",
                                            score=1)])

    Args:
        url: "sqlite:///FILE", which is made if it is not there, or
            "postgresql+psycopg://USER@HOST/DATABASE".
        upgrade: bring an older schema up to date; every row is kept.

    Raises:
        TokenRLError: the store cannot be reached, or its schema is older or
            newer than this program's.
    """

    def __init__(self, url: str, upgrade: bool = False):
        self._database = Database(url, upgrade)

    @property
    def name(self) -> str:
        """The URL, without a password."""
        return self._database.name

    def append(
        self, records: Iterable[Answer | Judgement | Mapping[str, Any]]
    ) -> list[Receipt]:
        """Add records in one transaction; a judgement may follow its answer.

        A record that cannot be stored is refused by its key and does not
        keep the others out.

        Args:
            records: answers, judgements, or the fields of either.

        Returns:
            What became of each, in their order.

        Raises:
            TokenRLError: the store failed; nothing was stored.
        """
        read: list[Answer | Judgement | Receipt] = [
            _checked(record) for record in records
        ]
        if not any(isinstance(r, Answer | Judgement) for r in read):
            return [r for r in read if isinstance(r, Receipt)]
        with self._database.writing() as connection:
            return append(connection, read)

    def read(
        self, after: int = 0, limit: int | None = None
    ) -> Iterator[Judged]:
        """Judgements in the order in which they were stored.

        What comes later always has a higher position: whoever goes on behind
        the last position he saw misses nothing and sees nothing twice.

        Args:
            after: the position to go on behind; 0 for the beginning.
            limit: how many at most.

        Raises:
            TokenRLError: the store failed.
        """
        judged, answers = tables.judgements, tables.answers
        query = (
            sa.select(judged.c.number, *tables.JUDGEMENT, *tables.ANSWER)
            .join(answers, answers.c.key == judged.c.answer)
            .order_by(judged.c.number)
        )
        middle = 1 + len(tables.JUDGEMENT)
        for rows in self._pages(query, judged.c.number, after, limit):
            said = [tables.judgement_of(row[1:middle]) for row in rows]
            others = self._find(j.other for j in said if j.other is not None)
            for row, judgement in zip(rows, said, strict=True):
                answer = tables.answer_of(row[middle:])
                other = others.get(judgement.other or "")
                if judgement.other is None or other is not None:
                    yield Judged(row[0], judgement, answer, other)

    def answers(
        self, after: int = 0, limit: int | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answers with their positions, in the order they were stored in.

        Raises:
            TokenRLError: the store failed.
        """
        number = tables.answers.c.number
        query = sa.select(number, *tables.ANSWER).order_by(number)
        for rows in self._pages(query, number, after, limit):
            for row in rows:
                yield row[0], tables.answer_of(row[1:])

    def get(self, key: str) -> Answer:
        """The answer called `key`.

        Raises:
            TokenRLError: there is none.
        """
        found = self._find([key])
        if key not in found:
            raise TokenRLError(f'The store has no answer "{key}".')
        return found[key]

    def counts(self) -> dict[str, int]:
        """How many answers and judgements there are."""
        with self._database.reading() as connection:
            return {
                table.name: connection.scalar(
                    sa.select(sa.func.count()).select_from(table)
                )
                or 0
                for table in (tables.answers, tables.judgements)
            }

    def ack(self, reader: str, position: int) -> None:
        """Say that `reader` needs nothing up to `position` any more.

        Raises:
            TokenRLError: no judgement has come so far, or the reader's name
                is too long.
        """
        if not 0 < len(reader) <= 64:
            raise TokenRLError("The name of a reader has 1 to 64 characters.")
        with self._database.writing() as connection:
            newest = sa.func.max(tables.judgements.c.number)
            last = connection.scalar(sa.select(newest)) or 0
            before = self._position(connection, reader)
            if position > max(last, before):
                raise TokenRLError(
                    f'Reader "{reader}" cannot acknowledge position '
                    f"{position}: the last one is {last}."
                )
            if position > before:
                row = {"reader": reader, "position": position}
                connection.execute(tables.acknowledgements.insert(), row)

    def position(self, reader: str) -> int:
        """The highest position that `reader` has acknowledged, or 0."""
        with self._database.reading() as connection:
            return self._position(connection, reader)

    def export(self, user_hash: str | None = None) -> Iterator[str]:
        """Answers, then judgements, one JSON object each.

        `append` takes the objects again.

        Args:
            user_hash: only what this user asked, what was said about that,
                and what the user said about other answers.

        Raises:
            TokenRLError: the store failed.
        """
        table = tables.answers
        query = sa.select(table.c.number, *tables.ANSWER)
        if user_hash is not None:
            query = query.where(table.c.user_hash == user_hash)
        query = query.order_by(table.c.number)
        for rows in self._pages(query, table.c.number):
            for row in rows:
                yield tables.answer_of(row[1:]).as_json()
        judged = tables.judgements
        query = sa.select(judged.c.number, *tables.JUDGEMENT)
        if user_hash is not None:
            query = query.where(_of_user(user_hash))
        query = query.order_by(judged.c.number)
        for rows in self._pages(query, judged.c.number):
            for row in rows:
                judgement = tables.judgement_of(row[1:])
                yield judgement.as_json()

    def delete(
        self,
        user_hash: str | None = None,
        older_than: datetime | None = None,
    ) -> dict[str, int]:
        """Forget a user, or what is old.

        With an answer go all judgements about it, and with a user also what
        the user said about other answers.

        Args:
            user_hash: all that this user asked or said.
            older_than: all answers given before; with a time zone.

        Returns:
            How many answers and judgements are gone.

        Raises:
            TokenRLError: neither is given, or the time has no zone.
        """
        if (user_hash is None) == (older_than is None):
            raise TokenRLError("Delete by user_hash or by older_than.")
        answers = tables.answers
        if user_hash is not None:
            gone = answers.c.user_hash == user_hash
            said = _of_user(user_hash)
        else:
            assert older_than is not None
            if older_than.tzinfo is None:
                raise TokenRLError(
                    f"{older_than} has no time zone: append +00:00 for UTC."
                )
            gone = answers.c.time < tables.microseconds(older_than)
            said = _about(sa.select(answers.c.key).where(gone))
        with self._database.writing() as connection:
            judgements = connection.execute(
                tables.judgements.delete().where(said)
            ).rowcount
            rows = connection.execute(answers.delete().where(gone)).rowcount
        self._database.forget()
        return {"answers": rows, "judgements": judgements}

    def close(self) -> None:
        """Hang up."""
        self._database.close()

    def __enter__(self) -> "FeedbackStore":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def _pages(
        self,
        query: sa.Select,
        number: sa.ColumnElement,
        after: int = 0,
        limit: int | None = None,
    ) -> Iterator[Sequence[sa.Row]]:
        """Pages of rows, a transaction each: no reader holds one open."""
        left = limit
        while left is None or left > 0:
            size = _PAGE if left is None else min(left, _PAGE)
            with self._database.reading() as connection:
                page = query.where(number > after).limit(size)
                rows = connection.execute(page).fetchall()
            yield rows
            if len(rows) < size:
                return
            after = rows[-1][0]
            left = None if left is None else left - size

    def _find(self, keys: Iterable[str]) -> dict[str, Answer]:
        """Those answers among `keys` that are there, by key."""
        wanted = sorted(set(keys))
        if not wanted:
            return {}
        with self._database.reading() as connection:
            fields = tuple(Answer.model_fields)
            rows = lookup(connection, tables.answers, fields, wanted)
            answers = [tables.answer_of(row) for row in rows]
        return {answer.key: answer for answer in answers}

    def _position(self, connection: sa.Connection, reader: str) -> int:
        table = tables.acknowledgements
        query = sa.select(sa.func.max(table.c.position))
        return connection.scalar(query.where(table.c.reader == reader)) or 0


def _checked(record: Any) -> Answer | Judgement | Receipt:
    if isinstance(record, Answer | Judgement):
        return record
    try:
        return read_record(record)
    except TokenRLError as error:
        key = record.get("key", "") if isinstance(record, Mapping) else ""
        return Receipt(str(key)[:64], "refused", str(error))


def _about(keys: sa.Select) -> sa.ColumnElement[bool]:
    judged = tables.judgements.c
    return judged.answer.in_(keys) | judged.other.in_(keys)


def _of_user(user_hash: str) -> sa.ColumnElement[bool]:
    """Judgements about a user's answers, and those that the user gave."""
    answers = tables.answers.c
    own = sa.select(answers.key).where(answers.user_hash == user_hash)
    return _about(own) | (tables.judgements.c.rater == user_hash)
