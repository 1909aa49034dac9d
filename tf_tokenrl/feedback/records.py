"""Answers and judgements: the records that feedback is made of."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from pydantic import AwareDatetime, ConfigDict, Field

from tf_tokenrl.errors import TokenRLError

Kind = Literal["score", "thumb", "pair", "edit", "span"]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Hash = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{0,64}$")]
Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
# The fields that a kind of judgement has; it must have each of them.
_FIELDS = {
    "score": {"score"},
    "thumb": {"score"},
    "pair": {"other"},
    "edit": {"edit"},
    "span": {"start", "end", "score"},
}


def _now() -> datetime:
    return datetime.now(UTC)


def _new_key() -> str:
    return uuid.uuid4().hex


class Record(pydantic.BaseModel):
    """A row that is checked when it is made and never changes.

    Raises:
        TokenRLError: a value does not fit its field.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        ser_json_inf_nan="constants",
        protected_namespaces=(),
    )

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            kind = type(self).__name__.lower()
            raise TokenRLError(_sentence(kind, values, error)) from error

    def fields(self) -> dict[str, Any]:
        """What `read_record` takes again, fit for JSON."""
        return self.model_dump(mode="json", exclude_none=True)

    def as_json(self) -> str:
        """The fields as one line, in ASCII: a lone surrogate has no UTF-8."""
        return json.dumps(self.fields())


class Answer(Record):
    """One served answer and what the model knew when it gave it.

    Attributes:
        key: its name, unique in the store; a random one by default.
        time: when it was given, with a time zone.
        model: the name of the model that answered.
        version: its version, taken from the reply.
        label: the version label (the arm of a comparison) it was served
            under, "" for none.
        prompt: what was asked.
        text: the answer, without the stop token.
        token_ids: the ids as sampled, a stop token included.
        log_probs: of each id under the distribution it was drawn from, nats.
        ends: how many characters of `text` there are after each token; empty
            where the server did not say.
        finish: "stop" after a stop token, "text" after a stop text, "length"
            at the limit on new tokens, "" where it is not known.
        temperature: of the sampling; 0 is greedy.
        top_k: of the sampling, 0 for all tokens.
        top_p: of the sampling, 1 for all tokens.
        max_new_tokens: the limit that was asked for, 0 for the model's own.
        seed: of the sampling.
        user_hash: who asked, see `user_hash`; "" for nobody in particular.
    """

    key: Key = Field(default_factory=_new_key)
    time: AwareDatetime = Field(default_factory=_now)
    model: str
    version: Annotated[int, Field(ge=0, lt=2**63)] = 0
    label: str = ""
    prompt: str
    text: str
    token_ids: tuple[Int32, ...] = ()
    log_probs: tuple[float, ...] = ()
    ends: tuple[Int32, ...] = ()
    finish: Literal["", "stop", "text", "length"] = ""
    temperature: Finite = 0.0
    top_k: Int32 = 0
    top_p: Finite = 1.0
    max_new_tokens: Int32 = 0
    seed: Int64 = 0
    user_hash: Hash = ""

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Answer":
        count = len(self.token_ids)
        for name in ("log_probs", "ends"):
            given = len(getattr(self, name))
            if given not in (0, count):
                raise ValueError(f"it has {count} token_ids but {given} {name}")
        if list(self.ends) != sorted(self.ends):
            raise ValueError("its ends must not decrease")
        if self.ends and not 0 <= self.ends[0] <= self.ends[-1] <= len(
            self.text
        ):
            raise ValueError(
                f"its ends must lie within the {len(self.text)} characters "
                "of its text"
            )
        return self


class Judgement(Record):
    """What somebody said about an answer.

    Attributes:
        key: its name, unique in the store; a random one by default. The same
            key again is the same judgement.
        answer: the key of the answer; of a pair, of the better one.
        kind: "score", a number; "thumb", 1 for up and -1 for down; "pair",
            `answer` is better than `other`; "edit", a better text; "span", a
            number for a part of the text.
        score: see `kind`; finite.
        other: of a pair, the key of the worse answer, to the same prompt.
        edit: a better answer.
        start, end: of a span, characters (Unicode code points) of the text.
        rater: who judges, see `user_hash`.
        time: when, with a time zone.
        comment: free text.
        side: of a pair shown side by side, where the better answer stood,
            "left" or "right"; "" where they were not.
        blind: of a pair, False where the rater knew which version wrote
            which answer; such a pair enters no comparison of versions.
    """

    key: Key = Field(default_factory=_new_key)
    answer: Key
    kind: Kind
    score: Finite | None = None
    other: Key | None = None
    edit: str | None = None
    start: Int32 | None = None
    end: Int32 | None = None
    rater: Hash = ""
    time: AwareDatetime = Field(default_factory=_now)
    comment: str = ""
    side: Literal["", "left", "right"] = ""
    blind: bool = True

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Judgement":
        every = set().union(*_FIELDS.values())
        given = {n for n in every if getattr(self, n) is not None}
        wanted = _FIELDS[self.kind]
        if given != wanted:
            raise ValueError(
                f'a "{self.kind}" needs {_listed(wanted)}, and has '
                f"{_listed(given)}"
            )
        if self.kind == "thumb" and self.score not in (1.0, -1.0):
            raise ValueError("a thumb is 1 (up) or -1 (down)")
        if self.kind == "pair" and self.other == self.answer:
            raise ValueError("a pair needs two answers")
        return self


class Receipt(NamedTuple):
    """What became of one record.

    Attributes:
        key: the record's, "" where it had none that can be read.
        status: "stored"; "duplicate", the very same was there already;
            "conflict", the key is taken by other contents; "refused".
        reason: one sentence, "" where it is stored.
    """

    key: str
    status: Literal["stored", "duplicate", "conflict", "refused"]
    reason: str = ""

    @property
    def safe(self) -> bool:
        """The record is in the store."""
        return self.status in ("stored", "duplicate")


class Judged(NamedTuple):
    """A judgement with the answer that it is about.

    Attributes:
        position: of the judgement; `read(after=position)` goes on behind it.
        judgement: what was said.
        answer: about what.
        other: of a pair, the worse answer.
    """

    position: int
    judgement: Judgement
    answer: Answer
    other: Answer | None = None


def user_hash(user: str, secret: str) -> str:
    """A name for a user that only who knows the secret can find again.

    HMAC-SHA256, its first 128 bits in hexadecimal digits. One secret per
    store; without it the users of a store cannot be guessed from a list.
    """
    return hmac.digest(secret.encode(), user.encode(), hashlib.sha256)[
        :16
    ].hex()


def read_record(values: Mapping[str, Any]) -> Answer | Judgement:
    """A record from its fields; one with an `answer` is a judgement.

    Raises:
        TokenRLError: they do not fit.
    """
    if not isinstance(values, Mapping) or not all(
        isinstance(name, str) for name in values
    ):
        raise TokenRLError("A record of feedback must be a JSON object.")
    return (Judgement if "answer" in values else Answer)(**values)


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none of them"


def _sentence(
    kind: str, values: Mapping[str, Any], error: pydantic.ValidationError
) -> str:
    """The first thing that is wrong, as one sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    key = str(values.get("key", ""))[:64]
    name = f'{kind} "{key}"' if key else f"the {kind}"
    at = f" at `{place}`" if place else ""
    said = said[:1].lower() + said[1:]
    return f"Cannot take {name}{at}: {said}."
