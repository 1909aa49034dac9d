"""How good a policy's answers are: answers, metrics, intervals, samples."""

from tf_tokenrl.evaluation.answers import (
    Answers,
    answer,
    estimate,
    evaluate,
    figures,
    measure,
    per_example,
)
from tf_tokenrl.evaluation.intervals import Estimate

__all__ = [
    "Answers",
    "Estimate",
    "answer",
    "estimate",
    "evaluate",
    "figures",
    "measure",
    "per_example",
]
