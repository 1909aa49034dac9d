"""BLEU of the answer, dense or at its end."""

import functools

from sacrebleu.metrics import BLEU

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class Bleu(Reward):
    """Sentence BLEU against all references, from 0 to 1.

    Dense, the token at t gets what it adds:

        r_t = BLEU(text up to t) - BLEU(text up to t - 1)

    so that the rewards of an answer add up to its BLEU. Without references
    every reward is 0.

    Attributes:
        dense: False puts the whole score on the last token.

    Source: Papineni et al. (2002), "BLEU: a Method for Automatic Evaluation
    of Machine Translation", as computed by sacrebleu with tokenizer 13a,
    exponential smoothing and effective order; the difference as a reward:
    Ng et al. (1999), "Policy Invariance under Reward Transformations".
    """

    def __init__(self, dense: bool = True):
        self.dense = dense

    def score(self, example: Example, response: Response):
        """See `Reward.score`."""
        if not self.dense:
            return _bleu(example.references, response.text)
        scores, last = [], 0.0
        for _, end in response.offsets:
            score = _bleu(example.references, response.text[:end])
            scores.append(score - last)
            last = score
        return scores


def _bleu(references: tuple[str, ...], text: str) -> float:
    if not references or not text:
        return 0.0
    return _metric(references).corpus_score([text], None).score / 100.0


@functools.lru_cache(maxsize=1024)
def _metric(references: tuple[str, ...]) -> BLEU:
    """Sacrebleu that has counted the n-grams of these references already."""
    columns = [[reference] for reference in references]
    return BLEU(effective_order=True, references=columns)
