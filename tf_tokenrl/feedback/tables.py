"""The tables, and records as their rows.

Nothing is left to a dialect: texts are UTF-8 bytes (PostgreSQL's text refuses
U+0000 and lone surrogates), token ids and log-probs are little-endian arrays
(NaN and infinities keep their bits), times are microseconds since 1970 UTC
(SQLite would drop the time zone).
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from tf_tokenrl.feedback.records import Answer, Judgement, Record

_Record = TypeVar("_Record", bound=Record)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# SQLite's growing keys must be INTEGER, whose values are 64 bits there too.
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

metadata = sa.MetaData()

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("time", sa.BigInteger, nullable=False, index=True),
    sa.Column("model", sa.LargeBinary, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("label", sa.LargeBinary, nullable=False),
    sa.Column("prompt", sa.LargeBinary, nullable=False),
    sa.Column("text", sa.LargeBinary, nullable=False),
    sa.Column("token_ids", sa.LargeBinary, nullable=False),
    sa.Column("log_probs", sa.LargeBinary, nullable=False),
    sa.Column("ends", sa.LargeBinary, nullable=False),
    sa.Column("finish", sa.String(8), nullable=False),
    sa.Column("temperature", sa.Double, nullable=False),
    sa.Column("top_k", sa.Integer, nullable=False),
    sa.Column("top_p", sa.Double, nullable=False),
    sa.Column("max_new_tokens", sa.Integer, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("user_hash", sa.String(64), nullable=False, index=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,  # no number is ever given twice
)


def _answer_key(name: str, nullable: bool) -> sa.Column:
    key = sa.ForeignKey("answers.key", ondelete="CASCADE")
    return sa.Column(name, sa.String(64), key, nullable=nullable, index=True)


judgements = sa.Table(
    "judgements",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    _answer_key("answer", nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("score", sa.Double),
    _answer_key("other", nullable=True),
    sa.Column("edit", sa.LargeBinary),
    sa.Column("start", sa.Integer),
    sa.Column("end", sa.Integer),
    sa.Column("rater", sa.String(64), nullable=False, index=True),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("comment", sa.LargeBinary, nullable=False),
    sa.Column("side", sa.String(8), nullable=False),
    sa.Column("blind", sa.Boolean, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

acknowledgements = sa.Table(
    "acknowledgements",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("reader", sa.String(64), nullable=False, index=True),
    sa.Column("position", sa.BigInteger, nullable=False),
    sqlite_autoincrement=True,
)


def answer_row(answer: Answer) -> dict[str, Any]:
    """An answer as a row of `answers`, without its number."""
    row = answer.__dict__ | {
        "time": microseconds(answer.time),
        "model": _bytes(answer.model),
        "label": _bytes(answer.label),
        "prompt": _bytes(answer.prompt),
        "text": _bytes(answer.text),
        "token_ids": np.asarray(answer.token_ids, "<i4").tobytes(),
        "log_probs": np.asarray(answer.log_probs, "<f4").tobytes(),
        "ends": np.asarray(answer.ends, "<i4").tobytes(),
    }
    return row | {"digest": _digest(row)}


def answer_of(row: Sequence[Any]) -> Answer:
    """An answer from the columns `ANSWER`; it was checked when it came."""
    values = dict(zip(_ANSWER_FIELDS, row, strict=True))
    for name in ("model", "label", "prompt", "text"):
        values[name] = _text(values[name])
    values["time"] = moment(values["time"])
    values["token_ids"] = _numbers("i", values["token_ids"])
    values["log_probs"] = _numbers("f", values["log_probs"])
    values["ends"] = _numbers("i", values["ends"])
    return _made(Answer, values)


def judgement_row(judgement: Judgement) -> dict[str, Any]:
    """A judgement as a row of `judgements`, without its number."""
    edit = judgement.edit
    row = judgement.__dict__ | {
        "time": microseconds(judgement.time),
        "edit": None if edit is None else _bytes(edit),
        "comment": _bytes(judgement.comment),
    }
    return row | {"digest": _digest(row)}


def judgement_of(row: Sequence[Any]) -> Judgement:
    """A judgement from the columns `JUDGEMENT`."""
    values = dict(zip(_JUDGEMENT_FIELDS, row, strict=True))
    values["time"] = moment(values["time"])
    values["comment"] = _text(values["comment"])
    if values["edit"] is not None:
        values["edit"] = _text(values["edit"])
    return _made(Judgement, values)


def microseconds(time: datetime) -> int:
    """A moment as whole microseconds since 1970 UTC."""
    return (time - EPOCH) // _MICROSECOND


def moment(number: int) -> datetime:
    """The moment that `microseconds` made a number of."""
    return EPOCH + number * _MICROSECOND


def columns(table: sa.Table, fields: Iterable[str]) -> list[sa.Column]:
    """Columns by name, in the order given."""
    return [table.c[name] for name in fields]


_ANSWER_FIELDS = tuple(Answer.model_fields)
_JUDGEMENT_FIELDS = tuple(Judgement.model_fields)
ANSWER = columns(answers, _ANSWER_FIELDS)
JUDGEMENT = columns(judgements, _JUDGEMENT_FIELDS)


def _made(kind: type[_Record], values: dict[str, Any]) -> _Record:
    """What `model_construct` makes when it is given every field, in a third
    of its time: it copies them one by one."""
    made = kind.__new__(kind)
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _numbers(code: str, data: bytes) -> tuple:
    return tuple(np.frombuffer(data, f"<{code}4").tolist())


def _digest(row: dict[str, Any]) -> bytes:
    """Tells whether a key that comes again has the same contents.

    The time does not count: a client that tries again may look at the clock
    again.
    """
    found = hashlib.blake2b(digest_size=16)
    for name, value in row.items():
        if name == "time":
            continue
        if isinstance(value, str):
            value = value.encode()
        elif not isinstance(value, bytes):
            value = repr(value).encode()  # None, a number or a Boolean
        found.update(len(value).to_bytes(8, "little") + value)
    return found.digest()
