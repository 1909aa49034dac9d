"""ROUGE of the answer, dense or at its end."""

import abc
import collections
import functools
from collections.abc import Sequence

from nltk.stem.porter import PorterStemmer
from rouge_score import scoring

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.text.words import words

VARIANTS = ("1", "2", "3", "4", "l")
STATISTICS = ("precision", "recall", "fmeasure")


class Rouge(Reward):
    """Overlap of words with the best of the references, from 0 to 1.

    Dense, the token at t gets what it adds:

        r_t = ROUGE(text up to t) - ROUGE(text up to t - 1)

    each text measured against the reference that suits it best, so that a
    token earns the same whatever follows, and the rewards of an answer add up
    to its ROUGE. Without references
    every reward is 0. Words are those of `tf_tokenrl.text.words`: of any
    script, without punctuation, letter case aside.

    Attributes:
        variant: "1" to "4" for n-grams of words, "l" for the longest common
            subsequence.
        statistic: "precision", "recall" or "fmeasure"; also chooses the best
            reference.
        dense: False puts the whole score on the last token.
        stemmer: compare word stems (Porter's, for English) instead of words.

    Source: Lin (2004), "ROUGE: A Package for Automatic Evaluation of
    Summaries"; the difference as a reward: Ng et al. (1999), "Policy
    Invariance under Reward Transformations".

    Note:
        Equal to the package rouge-score for texts in ASCII; it takes every
        other letter for a space, so that a perfect answer in Russian has 0.
        The matches are counted here, one word at a time, because its scoring
        of every prefix afresh takes 3 times as long for answers of 24 tokens
        and 18 times as long for 200.
    """

    def __init__(
        self,
        variant: str = "l",
        statistic: str = "fmeasure",
        dense: bool = True,
        stemmer: bool = False,
    ):
        if variant not in VARIANTS:
            raise TokenRLError(
                f"Rouge: variant {variant!r} is not one of "
                f"{', '.join(VARIANTS)}."
            )
        if statistic not in STATISTICS:
            raise TokenRLError(
                f"Rouge: statistic {statistic!r} is not one of "
                f"{', '.join(STATISTICS)}."
            )
        self.variant = variant
        self.statistic = statistic
        self.dense = dense
        self.stemmer = stemmer

    def score(self, example: Example, response: Response):
        """See `Reward.score`."""
        ends = [end for _, end in response.offsets]
        if not example.references:
            return [0.0] * len(ends) if self.dense else 0.0
        if not self.dense:
            answer = _words(response.text, self.stemmer)
            return max(self._scores(r, [answer])[0] for r in example.references)
        prefixes = [_words(response.text[:e], self.stemmer) for e in ends]
        of_each = [self._scores(r, prefixes) for r in example.references]
        scores = [max(column) for column in zip(*of_each, strict=True)]
        return [b - a for a, b in zip([0.0, *scores], scores, strict=False)]

    def _scores(
        self, reference: str, answers: Sequence[Sequence[str]]
    ) -> list[float]:
        """The score of each answer; cheap where neighbours begin alike."""
        wanted = _reference_words(reference, self.stemmer)
        n = 1 if self.variant == "l" else int(self.variant)
        matcher: _Matcher
        if self.variant == "l":
            matcher = _SubsequenceMatcher(wanted)
        else:
            matcher = _NgramMatcher(wanted, n)
        total = max(len(wanted) - n + 1, 1)
        return [
            self._statistic(
                matcher.match(answer), max(len(answer) - n + 1, 1), total
            )
            for answer in answers
        ]

    def _statistic(self, matches: int, found: int, wanted: int) -> float:
        precision, recall = matches / found, matches / wanted
        if self.statistic == "fmeasure":
            return scoring.fmeasure(precision, recall)
        return precision if self.statistic == "precision" else recall


_stem = functools.lru_cache(65536)(PorterStemmer().stem)


def _words(text: str, stemmer: bool) -> list[str]:
    found = words(text)
    if not stemmer:
        return found
    # As rouge-score does it: short words have no ending to lose.
    return [_stem(word) if len(word) > 3 else word for word in found]


_reference_words = functools.lru_cache(maxsize=4096)(_words)


class _Matcher(abc.ABC):
    """Counts matches of an answer that grows and changes at its end."""

    def __init__(self):
        self.words = []

    def match(self, answer: Sequence[str]) -> int:
        """The matches of `answer`, redoing only the words that changed."""
        kept = 0
        for old, new in zip(self.words, answer, strict=False):
            if old != new:
                break
            kept += 1
        while len(self.words) > kept:
            self.pop()
        for word in answer[kept:]:
            self.push(word)
        return self.count()

    @abc.abstractmethod
    def push(self, word: str) -> None:
        """Append a word to the answer."""

    @abc.abstractmethod
    def pop(self) -> None:
        """Undo the last push."""

    @abc.abstractmethod
    def count(self) -> int:
        """How much of the answer the reference holds."""


class _NgramMatcher(_Matcher):
    """Matches are n-grams, each as often as the reference has it."""

    def __init__(self, reference: Sequence[str], n: int):
        super().__init__()
        self.n = n
        self.matches = 0
        self.left = collections.Counter(
            tuple(reference[i : i + n]) for i in range(len(reference) - n + 1)
        )

    def push(self, word: str) -> None:
        self.words.append(word)
        gram = tuple(self.words[-self.n :])
        self.left[gram] -= 1
        self.matches += self.left[gram] >= 0

    def pop(self) -> None:
        gram = tuple(self.words[-self.n :])
        self.matches -= self.left[gram] >= 0
        self.left[gram] += 1
        self.words.pop()

    def count(self) -> int:
        return self.matches


class _SubsequenceMatcher(_Matcher):
    """Matches are the words of the longest common subsequence.

    Row i, column j holds its length for the first i words of the answer and
    the first j of the reference.
    """

    def __init__(self, reference: Sequence[str]):
        super().__init__()
        self.reference = reference
        self.rows = [[0] * (len(reference) + 1)]

    def push(self, word: str) -> None:
        self.words.append(word)
        above, row = self.rows[-1], [0]
        for j, other in enumerate(self.reference):
            if word == other:
                row.append(above[j] + 1)
            else:
                row.append(max(row[j], above[j + 1]))
        self.rows.append(row)

    def pop(self) -> None:
        self.words.pop()
        self.rows.pop()

    def count(self) -> int:
        return self.rows[-1][-1]
