"""How good a policy's answers are: answers, metrics, intervals, samples."""

from tf_tokenrl.evaluation.answers import (
    Answers,
    Estimate,
    answer,
    estimate,
    evaluate,
    measure,
    per_example,
)

__all__ = [
    "Answers",
    "Estimate",
    "answer",
    "estimate",
    "evaluate",
    "measure",
    "per_example",
]
