"""From judgements to what learning wants: texts, pairs, rewards per token.

| judgement | becomes | for |
|---|---|---|
| edit | `better_texts` | supervised learning |
| pair | `Preference` | a reward model, or learning from preferences |
| thumb | `Opinion` | learning from unpaired opinions |
| score, span | `Scored` | reinforcement, weighted by importance |
"""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from tf_tokenrl.feedback.records import Answer, Judged, Judgement


class Preference(NamedTuple):
    """Two answers to one prompt, the better one first."""

    prompt: str
    better: str
    worse: str
    key: str


class Opinion(NamedTuple):
    """An answer and whether somebody liked it."""

    prompt: str
    answer: str
    good: bool
    key: str


class Scored(NamedTuple):
    """An answer and what each of its sampled tokens earned.

    Attributes:
        answer: with its ids and its log-probs at answer time.
        rewards: one number per id of the answer.
    """

    answer: Answer
    rewards: tuple[float, ...]


def preferences(judged: Iterable[Judged]) -> Iterator[Preference]:
    """The pairs among judgements."""
    for _, said, answer, other in judged:
        if said.kind == "pair" and other is not None:
            yield Preference(answer.prompt, answer.text, other.text, said.key)


def opinions(judged: Iterable[Judged]) -> Iterator[Opinion]:
    """The thumbs among judgements."""
    for _, said, answer, _ in judged:
        if said.kind == "thumb":
            good = said.score == 1
            yield Opinion(answer.prompt, answer.text, good, said.key)


def better_texts(judged: Iterable[Judged]) -> dict[str, list[str]]:
    """Prompt -> texts that people wrote instead of an answer, newest first.

    They are data for supervised learning and nothing else: nobody sampled
    them, so they have no log-prob at answer time.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for _, said, answer, _ in judged:
        if said.kind == "edit" and said.edit is not None:
            found[answer.prompt].insert(0, said.edit)
    return {
        prompt: list(dict.fromkeys(texts)) for prompt, texts in found.items()
    }


def scored(
    judged: Iterable[Judged], ends_of: Callable[[Answer], Sequence[int]]
) -> Iterator[Scored]:
    """Answers that have scores or marked spans, each once.

    Args:
        judged: in the order of the store.
        ends_of: characters after each token, where the store does not know
            them.
    """
    answers: dict[str, Answer] = {}
    said: dict[str, list[Judgement]] = defaultdict(list)
    for _, judgement, answer, _ in judged:
        if judgement.kind in ("score", "span"):
            answers[answer.key] = answer
            said[answer.key].append(judgement)
    for key, answer in answers.items():
        ends = answer.ends or tuple(ends_of(answer))
        yield Scored(answer, token_rewards(said[key], ends))


def token_rewards(
    said: Sequence[Judgement], ends: Sequence[int]
) -> tuple[float, ...]:
    """What each token of an answer earned.

        r_t = [t is last] mean of scores + mean over raters of their spans

    A span's score is shared evenly by its tokens, so that the rewards of a
    rater's spans add up to their scores however long they are.

    Args:
        said: scores and spans of one answer.
        ends: characters of its text after each token.
    """
    rewards = [0.0] * len(ends)
    if not rewards:
        return ()
    scores = [
        s.score for s in said if s.kind == "score" and s.score is not None
    ]
    if scores:
        rewards[-1] += statistics.fmean(scores)
    spans = [s for s in said if s.kind == "span"]
    raters = len({span.rater for span in spans})
    for span in spans:
        tokens = tokens_of(span.start or 0, span.end or 0, ends)
        for token in tokens:
            rewards[token] += (span.score or 0.0) / len(tokens) / raters
    return tuple(rewards)


def tokens_of(start: int, end: int, ends: Sequence[int]) -> list[int]:
    """The tokens that wrote one of the characters `text[start:end]`.

    A character whose bytes are several tokens belongs to all of them: those
    before the last add no character yet, and stand where the last begins.
    """
    found = []
    begin = 0
    for token, after in enumerate(ends):
        until = after
        if after == begin:  # what it began is complete with a later token
            until = next((e for e in ends[token + 1 :] if e > begin), begin)
            until = min(until, begin + 1)
        if begin < end and start < until:
            found.append(token)
        begin = after
    return found
