"""BLEU of the answer, dense or at its end."""

import functools
from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics import BLEU

from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared.pooled import Pooled


class Bleu(Reward, Pooled):
    """Sentence BLEU against all references, from 0 to 1.

    Dense, the token at t gets what it adds:

        r_t = BLEU(text up to t) - BLEU(text up to t - 1)

    so that the rewards of an answer add up to its BLEU. Without references
    every reward is 0. Many answers together have corpus BLEU, from the sums
    of their n-grams.

    Attributes:
        dense: False puts the whole score on the last token.
        tokenize: how sacrebleu finds words: "13a", "intl" (any script with
            spaces), "zh", "char" (each character), "none" (white space), or
            "ja-mecab", "ko-mecab", "spm", "flores200", which need a package
            or a download.

    Source: Papineni et al. (2002), "BLEU: a Method for Automatic Evaluation
    of Machine Translation", as computed by sacrebleu with exponential
    smoothing and, for one answer, effective order; the difference as a
    reward: Ng et al. (1999), "Policy Invariance under Reward
    Transformations".
    """

    def __init__(self, dense: bool = True, tokenize: str = "13a"):
        if tokenize not in BLEU.TOKENIZERS:
            raise unknown("tokenizer", tokenize, BLEU.TOKENIZERS)
        self.dense = dense
        self.tokenize = tokenize
        _corpus(tokenize)

    def score(self, example: Example, response: Response):
        """See `Reward.score`."""
        if not self.dense:
            return self._bleu(example.references, response.text)
        scores, last = [], 0.0
        for _, end in response.offsets:
            score = self._bleu(example.references, response.text[:end])
            scores.append(score - last)
            last = score
        return scores

    def counts(self, example: Example, response: Response) -> Sequence[float]:
        """See `Pooled.counts`: lengths, then n-grams right and found."""
        if not example.references:
            return [0.0] * (2 + 2 * _ORDER)
        metric = _metric(example.references, self.tokenize)
        found = metric.corpus_score([response.text], None)
        return [found.sys_len, found.ref_len, *found.counts, *found.totals]

    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """See `Pooled.pooled`."""
        metric = _corpus(self.tokenize)
        return np.array([_corpus_bleu(metric, row) for row in sums])

    def _bleu(self, references: tuple[str, ...], text: str) -> float:
        if not references or not text:
            return 0.0
        metric = _metric(references, self.tokenize)
        return metric.corpus_score([text], None).score / 100.0


_ORDER = 4


def _corpus_bleu(metric: BLEU, row: np.ndarray) -> float:
    answer, reference, *counts = row.astype(int).tolist()
    found = metric.compute_bleu(
        counts[:_ORDER],
        counts[_ORDER:],
        answer,
        reference,
        smooth_method=metric.smooth_method,
        max_ngram_order=_ORDER,
    )
    return found.score / 100.0


@functools.lru_cache(maxsize=1024)
def _metric(references: tuple[str, ...], tokenize: str) -> BLEU:
    """Sacrebleu that has counted the n-grams of these references already."""
    columns = [[reference] for reference in references]
    return BLEU(tokenize=tokenize, effective_order=True, references=columns)


@functools.cache
def _corpus(tokenize: str) -> BLEU:
    try:
        return BLEU(tokenize=tokenize)
    except Exception as error:  # whatever a missing package or network raises
        reason = " ".join(str(error).split())[:200]
        raise TokenRLError(
            f"Bleu: sacrebleu cannot load its tokenizer {tokenize!r} "
            f"({reason}); install what it needs, or take tokenize='intl'."
        ) from error
