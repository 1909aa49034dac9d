"""What people said about answers, from a feedback file."""

import functools
from collections import defaultdict
from pathlib import Path

import numpy as np

from tf_tokenrl.datasets.jsonl import read_jsonl
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class HumanRatings(Reward):
    """The mean rating of this very answer to this very prompt.

    The file has one JSON object per line, with the texts `prompt` and
    `answer` and the number `score`. White space at the ends of texts does not
    count. The rating goes to the last token.

    Attributes:
        path: a .jsonl or .jsonl.gz file; read once.
        unrated: what an answer earns that nobody rated.
    """

    def __init__(self, path: str, unrated: float = 0.0):
        self.path = path
        self.unrated = unrated
        _ratings(path)

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        key = example.prompt.strip(), response.text.strip()
        return _ratings(self.path).get(key, self.unrated)


@functools.lru_cache(8)
def _ratings(path: str) -> dict[tuple[str, str], float]:
    ratings = defaultdict(list)
    for number, row in enumerate(read_jsonl(Path(path)), start=1):
        prompt, answer, score = map(row.get, ("prompt", "answer", "score"))
        if not (isinstance(prompt, str) and isinstance(answer, str)):
            raise _bad(path, number, 'the texts "prompt" and "answer"')
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise _bad(path, number, 'a number "score"')
        if not np.isfinite(score):
            raise _bad(path, number, 'a finite number "score"')
        ratings[prompt.strip(), answer.strip()].append(score)
    return {key: float(np.mean(scores)) for key, scores in ratings.items()}


def _bad(path: str, number: int, wanted: str) -> TokenRLError:
    return TokenRLError(
        f'HumanRatings: object {number} of "{path}" needs {wanted}, as in '
        '{"prompt": "...", "answer": "...", "score": 1.0}.'
    )
