"""What people said about answers, from a feedback file."""

import functools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tf_tokenrl.datasets.jsonl import read_jsonl
from tf_tokenrl.datasets.prepared import prompt_function
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
        data: a folder of prepared data: prompts of the file, as people typed
            them, are prepared as its prompts were. "" takes them as they are.
        unrated: what an answer earns that nobody rated.
    """

    def __init__(self, path: str, unrated: float = 0.0, data: str = ""):
        self.path = path
        self.data = data
        self.unrated = unrated
        _ratings(path, data)

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`."""
        key = example.prompt.strip(), response.text.strip()
        return _ratings(self.path, self.data).get(key, self.unrated)

    def remark(self, examples: Sequence[Example]) -> str:
        """See `blindness.warn`: whether any of these prompts is rated."""
        rated = {prompt for prompt, _ in _ratings(self.path, self.data)}
        if any(example.prompt.strip() in rated for example in examples):
            return ""
        return (
            f'no prompt of the {len(examples)} examples is rated in "'
            f'{self.path}", so every answer earns {self.unrated}: give '
            "ratings of these prompts, or data=FOLDER of prepared data if "
            "they were typed and the examples are prepared"
        )


@functools.lru_cache(8)
def _ratings(path: str, data: str) -> dict[tuple[str, str], float]:
    ratings = defaultdict(list)
    prepare = prompt_function(data) if data else str.strip
    for number, row in enumerate(read_jsonl(Path(path)), start=1):
        prompt, answer, score = map(row.get, ("prompt", "answer", "score"))
        if not (isinstance(prompt, str) and isinstance(answer, str)):
            raise _bad(path, number, 'the texts "prompt" and "answer"')
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise _bad(path, number, 'a number "score"')
        if not np.isfinite(score):
            raise _bad(path, number, 'a finite number "score"')
        ratings[prepare(prompt).strip(), answer.strip()].append(score)
    return {key: float(np.mean(scores)) for key, scores in ratings.items()}


def _bad(path: str, number: int, wanted: str) -> TokenRLError:
    return TokenRLError(
        f'HumanRatings: object {number} of "{path}" needs {wanted}, as in '
        '{"prompt": "...", "answer": "...", "score": 1.0}.'
    )
