"""METEOR without synonyms: words and stems in the references' order."""

from nltk.stem.porter import PorterStemmer
from nltk.translate.meteor_score import meteor_score

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.text.words import pieces


class Meteor(Reward):
    """Sentence METEOR against the best reference, from 0 to 1.

        F       = 10 P R / (R + 9 P)
        METEOR  = F (1 - 0.5 (chunks / matches)^3)

    with precision P and recall R of matched words: equal words first, then
    words of equal stem (Porter's), letter case aside. Chunks are runs of
    matches that stand together in both texts. Words stand between white
    space; in scripts without spaces each character is a word. The whole goes
    to the last token; `dense(meteor)` divides it.

    Source: Banerjee and Lavie (2005), "METEOR: An Automatic Metric for MT
    Evaluation with Improved Correlation with Human Judgments", as computed by
    NLTK.

    Note:
        METEOR's third stage, synonyms, is left out: it needs WordNet, which
        NLTK downloads.
    """

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        references = [pieces(reference) for reference in example.references]
        answer = pieces(response.text)
        if not references:
            return 0.0
        return meteor_score(
            references, answer, stemmer=_STEMMER, wordnet=_NoSynonyms
        )


class _NoSynonyms:
    """What METEOR asks of WordNet, answered with nothing."""

    @staticmethod
    def synsets(word: str) -> list:
        return []


_STEMMER = PorterStemmer()
