"""Replies as answers of a feedback store, and what is said about them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_tokenrl.client.replies import Reply
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, Judgement
from tf_tokenrl.feedback.remote import Sink, connect

__all__ = ["Sink", "connect", "judge", "record"]


def record(
    sink: Sink,
    replies: Sequence[Reply],
    options: Mapping[str, Any],
    label: str,
    user: str,
) -> list[Reply]:
    """Store replies as answers, with the settings that they were drawn with.

    Args:
        sink: where to.
        replies: in the order of the prompts.
        options: of `Client.generate`; each one value, or one per reply.
        label: the version label that was asked for.
        user: a `user_hash`.

    Returns:
        The replies with the keys of their answers.

    Raises:
        TokenRLError: the store does not take them.
    """
    answers = [
        _answer(reply, _of_row(options, row), label, user)
        for row, reply in enumerate(replies)
    ]
    _stored(sink, answers)
    return [
        reply._replace(key=answer.key)
        for reply, answer in zip(replies, answers, strict=True)
    ]


def judge(
    sink: Sink,
    reply: Reply,
    score: float | None = None,
    thumb: int | None = None,
    better_than: Reply | None = None,
    edit: str | None = None,
    spans: Sequence[tuple[int, int, float]] = (),
    rater: str = "",
    comment: str = "",
) -> list[Judgement]:
    """Store what somebody said about a reply; see `Client.rate`."""
    if not reply.key or (better_than is not None and not better_than.key):
        raise TokenRLError(
            "This reply is not in a feedback store: ask with "
            "`generate(..., feedback=...)`."
        )
    given: list[dict[str, Any]] = []
    if score is not None:
        given.append({"kind": "score", "score": score})
    if thumb is not None:
        given.append({"kind": "thumb", "score": thumb})
    if better_than is not None:
        given.append({"kind": "pair", "other": better_than.key})
    if edit is not None:
        given.append({"kind": "edit", "edit": edit})
    for start, end, amount in spans:
        span = {"kind": "span", "start": start, "end": end, "score": amount}
        given.append(span)
    if not given:
        raise TokenRLError(
            "Nothing is said about the reply: give score, thumb, better_than, "
            "edit or spans."
        )
    said = [
        Judgement(answer=reply.key, rater=rater, comment=comment, **fields)
        for fields in given
    ]
    _stored(sink, said)
    return said


def _stored(sink: Sink, records: Sequence[Answer | Judgement]) -> None:
    for receipt in sink.append(records):
        if not receipt.safe:
            raise TokenRLError(receipt.reason)


def _of_row(options: Mapping[str, Any], row: int) -> dict[str, Any]:
    """The options of one reply; those not given have their defaults."""
    found = {}
    for name, value in options.items():
        if isinstance(value, Sequence) or hasattr(value, "__len__"):
            value = value[row]
        if value is not None:
            found[name] = value
    return found


def _answer(
    reply: Reply, options: dict[str, Any], label: str, user: str
) -> Answer:
    return Answer(
        model=reply.model,
        version=reply.version,
        label=label,
        prompt=reply.prompt,
        text=reply.text,
        token_ids=reply.token_ids,
        log_probs=reply.log_probs,
        finish="stop" if reply.stopped else "length",
        user_hash=user,
        **options,
    )
