"""Negative cross-entropy of the right tags, as a reward for actions."""

from collections.abc import Iterable

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared import checks


class CrossEntropy(Reward):
    """The reward whose policy gradient is that of -cross-entropy.

        r_t = [a_t = gold_t] / p(a_t) - 1

    p(a_t) is the probability with which the tag was drawn. Then

        E[r_t] = 0   and   E[r_t grad log p(a_t)] = grad log p(gold_t)

    wherever p(gold_t) > 0: on average REINFORCE with it learns what maximum
    likelihood learns. It is for tasks with one action per tag; the gold tags
    are the words of the first reference, and without one all is 0. What a
    tag earns says nothing of the tags after it: train with discount 0.

    Attributes:
        limit: the most that 1 / p(a_t) may be, which bounds the variance and
            weakens what rare right tags teach; None sets no limit.

    Source: Wu et al. (2025), "On the Generalization of SFT: A Reinforcement
    Learning Perspective with Reward Rectification", section 3; here minus 1,
    a baseline.

    Note:
        log p(gold_t) itself is no reward: it does not depend on the action,
        so its policy gradient is 0. Rewarding a right tag with log p(a_t)
        would pay less than a wrong tag with 0. As the mean of this reward is
        0 whatever the policy, watch `token_accuracy` and the entropy.
    """

    def __init__(self, limit: float | None = None):
        if limit is not None and not limit >= 1:
            raise TokenRLError(
                f"CrossEntropy: limit must be at least 1, not {limit!r}."
            )
        self.limit = limit

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`.

        Raises:
            TokenRLError: an action is not one tag.
        """
        mask = np.asarray(rollout.mask, bool)
        right = np.zeros(mask.shape, np.float32)
        tagged = np.zeros(mask.shape, bool)
        for row, (example, response) in enumerate(
            zip(examples, responses, strict=True)
        ):
            tags = self._tags(example, response)
            places = np.flatnonzero(mask[row])[list(tags)]
            gold = _gold(example, tags.values())
            tagged[row, places] = bool(gold)
            for i, (place, tag) in enumerate(
                zip(places, tags.values(), strict=True)
            ):
                right[row, place] = i < len(gold) and tag == gold[i]
        log_probs = np.where(tagged, np.asarray(rollout.log_probs), 0.0)
        with np.errstate(over="ignore"):
            inverse = np.minimum(np.exp(-log_probs), self.limit or np.inf)
        gains = np.where(right > 0, inverse, 0.0) - 1.0
        return np.where(tagged, gains, 0.0).astype(np.float32)

    def _tags(self, example: Example, response: Response) -> dict[int, str]:
        """The tokens that are tags, by number; a stop token is none."""
        pieces = [response.text[a:b].strip() for a, b in response.offsets]
        tags = {i: piece for i, piece in enumerate(pieces) if piece}
        if " ".join(tags.values()).split() != response.text.split():
            raise TokenRLError(
                f"Reward {self!r} needs one action per tag, but "
                f"{checks.name(example)} was answered with the tokens "
                f"{pieces[:8]!r}; use it with a policy that tags."
            )
        return tags


def _gold(example: Example, tags: Iterable[str]) -> list[str]:
    """The gold tags; the label of a whole text may have several words."""
    if any(len(tag.split()) > 1 for tag in tags):
        return [example.reference.strip()]
    return example.reference.split()
