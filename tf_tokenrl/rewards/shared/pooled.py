"""Scores of many answers that are not the mean of the answers' scores."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from tf_tokenrl.flow import Example, Response


class Pooled(ABC):
    """What a reward adds to say how good many answers are together.

    Corpus BLEU and the F1 of a data set divide sums of counts; a mean of
    BLEUs or of F1s is another number.

    Attributes:
        headline: True where the pooled score is the one that is quoted, in
            place of the mean; else it stands beside the mean.
    """

    headline: bool = False

    @abstractmethod
    def counts(self, example: Example, response: Response) -> Sequence[float]:
        """The K counts of one answer, to be summed over answers."""

    @abstractmethod
    def pooled(self, sums: np.ndarray) -> np.ndarray:
        """The score of each sum of counts: `[N, K]` -> `[N]`."""
