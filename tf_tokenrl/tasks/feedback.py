"""Feedback: prompts of users, and what people said about the answers."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback import Answer, FeedbackStore, Judged, signals
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import Task

_SHARES = {"test": 0.1, "validation": 0.1}  # "train" is the rest


class Feedback(Task):
    """Judgements of a `FeedbackStore` as data.

    `examples` has each prompt once; its references are the texts that people
    wrote instead of the answer (the newest first), then answers that were
    preferred or liked and not disliked. A prompt belongs to one split for
    ever, by its text.

    Args:
        data: the URL of the store.
        store: the store itself, or its URL.
        after: judgements up to this position are left out.
    """

    metrics = {"rouge_l": "rouge(variant='l')"}
    reward = "rouge(variant='l')"

    def __init__(
        self,
        data: str = "",
        store: FeedbackStore | str | None = None,
        after: int = 0,
    ):
        self.data = str(data)
        self.store = store or data
        self.after = after
        if not self.store:
            raise TokenRLError(
                'The task "feedback" needs a store: give '
                'store="sqlite:///FILE".'
            )

    def examples(self, split: str) -> list[Example]:
        """See `Task.examples`.

        Raises:
            TokenRLError: nobody has said what a good answer is.
        """
        judged = list(self.judged(split))
        texts: dict[str, list[str]] = defaultdict(list)
        for prompt, edits in signals.better_texts(judged).items():
            texts[prompt] += edits
        for prompt, liked in _liked(judged).items():
            texts[prompt] += liked
        if not texts:
            raise TokenRLError(
                f'The store has no good answer for the split "{split}": '
                "collect edits, preferences or thumbs first."
            )
        return [
            Example(prompt, tuple(dict.fromkeys(good)), _name(prompt))
            for prompt, good in texts.items()
        ]

    def preferences(self, split: str) -> list[signals.Preference]:
        """Pairs, for a reward model or for learning from preferences."""
        return list(signals.preferences(self.judged(split)))

    def opinions(self, split: str) -> list[signals.Opinion]:
        """Thumbs, for learning from unpaired opinions."""
        return list(signals.opinions(self.judged(split)))

    def scored(
        self, split: str, ends_of: Callable[[Answer], Sequence[int]]
    ) -> list[signals.Scored]:
        """Answers with a reward for each token, for reinforcement.

        Args:
            split: as for `examples`.
            ends_of: see `signals.scored`; `logged.ends_of(policy)`.
        """
        return list(signals.scored(self.judged(split), ends_of))

    def judged(self, split: str) -> Iterator[Judged]:
        """The judgements of a split, in the order of the store."""
        if isinstance(self.store, FeedbackStore):
            yield from _of_split(self.store.read(self.after), split)
            return
        with FeedbackStore(str(self.store)) as store:
            yield from _of_split(store.read(self.after), split)


def _of_split(judged: Iterable[Judged], split: str) -> Iterator[Judged]:
    if split not in (*_SHARES, "train"):
        raise TokenRLError(
            f'There is no split "{split}": take train, validation or test.'
        )
    return (j for j in judged if _split(j.answer.prompt) == split)


def _split(prompt: str) -> str:
    place = int.from_bytes(_hash(prompt)[:8], "little") / 2**64
    for split, share in _SHARES.items():
        if place < share:
            return split
        place -= share
    return "train"


def _hash(prompt: str) -> bytes:
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()


def _name(prompt: str) -> str:
    return _hash(prompt).hex()[:16]


def _liked(judged: Iterable[Judged]) -> dict[str, list[str]]:
    """Prompt -> answers with more thumbs up and wins than down and losses."""
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for _, said, answer, other in judged:
        if said.kind == "thumb" and said.score is not None:
            sums[answer.prompt, answer.text] += said.score
        elif said.kind == "pair" and other is not None:
            sums[answer.prompt, answer.text] += 1
            sums[other.prompt, other.text] -= 1
    found: dict[str, list[str]] = defaultdict(list)
    for (prompt, text), total in sums.items():
        if total > 0:
            found[prompt].append(text)
    return found
