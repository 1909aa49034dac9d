"""Precision, recall and F1 of each label over a whole data set."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from tf_tokenrl.evaluation import intervals
from tf_tokenrl.evaluation.answers import Answers
from tf_tokenrl.evaluation.intervals import Estimate
from tf_tokenrl.text import tags

Item = tuple[str, Hashable]  # a label, and where it stands


class Score(NamedTuple):
    """How often a label is right.

        precision = right / found,  recall = right / wanted
        f1 = 2 right / (found + wanted)

    each 0 where nothing is divided; `support` is `wanted`.
    """

    precision: float
    recall: float
    f1: float
    support: int


class LabelScores(NamedTuple):
    """Scores over a data set.

    Attributes:
        labels: those of each label.
        macro: the plain means over all labels that are wanted or found.
        micro: right, found and wanted summed over all labels.
        micro_f1: F1 of `micro` and its 95% interval.
    """

    labels: dict[str, Score]
    macro: Score
    micro: Score
    micro_f1: Estimate

    def as_plain(self) -> dict:
        """The same as what JSON can hold."""
        return {
            "labels": {k: v._asdict() for k, v in self.labels.items()},
            "macro": self.macro._asdict(),
            "micro": self.micro._asdict(),
            "micro_f1": self.micro_f1._asdict(),
        }


def word_scores(answers: Answers) -> LabelScores:
    """Each word's label counts; the micro F1 is the accuracy."""

    def items(text: str) -> Iterable[Item]:
        for place, label in enumerate(text.split()):
            yield label, place

    return _scores(answers, items)


def text_scores(answers: Answers) -> LabelScores:
    """Each text's label counts; the micro F1 is the accuracy."""
    return _scores(answers, lambda text: [(text, 0)])


def entity_scores(answers: Answers, strict: bool = False) -> LabelScores:
    """Each entity counts, by its kind; both ends must be right.

    Args:
        answers: tags and the tags that were wanted.
        strict: count only entities that are begun and ended as the scheme of
            the wanted tags has it; seqeval calls this `mode="strict"`.

    Source: Tjong Kim Sang and De Meulder (2003), "Introduction to the
    CoNLL-2003 Shared Task", section 2.4: the micro F1 is that of its script.
    """

    gold = (example.reference.split() for example in answers.examples)
    closed = strict and tags.scheme(gold).closed

    def items(text: str) -> Iterable[Item]:
        words = text.split()
        found = (
            tags.strict_entities(words, closed)
            if strict
            else tags.entities(words)
        )
        for kind, first, last in found:
            yield kind, (first, last)

    return _scores(answers, items)


def table(scores: LabelScores) -> str:
    """A line for each label, then macro and micro."""
    lines = {**scores.labels, "macro": scores.macro, "micro": scores.micro}
    width = max(map(len, lines))
    head = f"{'':{width}}  precision    recall        f1   support"
    return "\n".join(
        [
            head,
            *(
                f"{name:{width}}{s.precision:11.4f}{s.recall:10.4f}"
                f"{s.f1:10.4f}{s.support:10,}"
                for name, s in lines.items()
            ),
        ]
    )


def _scores(
    answers: Answers, items: Callable[[str], Iterable[Item]]
) -> LabelScores:
    right: list[Counter[str]] = []  # of each example, per label
    found: list[Counter[str]] = []
    wanted: list[Counter[str]] = []
    for example, response in zip(
        answers.examples, answers.responses, strict=True
    ):
        given, gold = set(items(response.text)), set(items(example.reference))
        for counts, chosen in (
            (right, given & gold),
            (found, given),
            (wanted, gold),
        ):
            counts.append(Counter(label for label, _ in chosen))
    none: Counter[str] = Counter()
    sums = [sum(counts, none) for counts in (right, found, wanted)]
    labels = {
        label: _score(*(counts[label] for counts in sums))
        for label in sorted(sums[1] | sums[2])
    }
    totals = np.array(
        [[row.total() for row in counts] for counts in (right, found, wanted)]
    )
    return LabelScores(
        labels,
        _mean(labels),
        _score(*map(int, totals.sum(axis=1))),
        _interval(totals),
    )


def _score(right: int, found: int, wanted: int) -> Score:
    return Score(
        right / found if found else 0.0,
        right / wanted if wanted else 0.0,
        2 * right / (found + wanted) if found + wanted else 0.0,
        wanted,
    )


def _mean(labels: Mapping[str, Score]) -> Score:
    """Plain means over all labels; supports are summed."""
    if not labels:
        return Score(0.0, 0.0, 0.0, 0)
    precision, recall, f1, support = zip(*labels.values(), strict=True)
    means = [float(np.mean(column)) for column in (precision, recall, f1)]
    return Score(means[0], means[1], means[2], sum(support))


def _interval(totals: np.ndarray, seed: int = 0) -> Estimate:
    """Micro F1 of totals `[3, N]`, percentile bootstrap over N examples."""

    def f1(sums: np.ndarray) -> np.ndarray:
        right, found, wanted = sums.T
        return 2 * right / np.maximum(found + wanted, 1)

    measured = intervals.Measured(totals.T.astype(np.float64), f1)
    return intervals.estimate(measured, seed=seed)
