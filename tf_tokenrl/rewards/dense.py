"""Any reward of whole answers, token by token."""

from collections.abc import Sequence

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.rewards.base import Reward


class Dense(Reward):
    """What each token adds to a reward of the answer so far.

        r_t = F(a_1 .. a_t) - F(a_1 .. a_{t-1}),   F of nothing = 0

    F is the reward of an answer, summed over its tokens; the rewards of an
    answer add up to F of the whole. With discount 1 the return is that of F
    on the last token, so the best policy stays the same; credit arrives
    earlier. An answer that is cut short counts as not stopped.

    Attributes:
        reward: F, any reward or sum of rewards: `dense(chrf - 0.1 * length)`.

    Source: Ng et al. (1999), "Policy Invariance under Reward Transformations",
    with the potential F.

    Note:
        F is computed for every prefix: for T tokens T times. `rouge` does the
        same by itself, faster.
    """

    def __init__(self, reward: Reward):
        if not isinstance(reward, Reward):
            raise TokenRLError(
                f"Dense: {reward!r} is not a reward; write dense(bleu), or "
                'rewards.get("dense", reward=rewards.get("bleu")).'
            )
        if reward.listens:
            raise TokenRLError(
                f"Dense: {reward!r} learns from what it measures, and would "
                "take each beginning of an answer for an answer: write "
                "normalize(dense(bleu)) instead of dense(normalize(bleu))."
            )
        self.reward = reward

    looks_ahead = False  # whatever F does, it sees no further than t

    def __call__(
        self,
        examples: Sequence[Example],
        responses: Sequence[Response],
        rollout: Rollout,
    ) -> np.ndarray:
        """See `Reward.__call__`."""
        mask = np.asarray(rollout.mask, bool)
        rows, ends = np.nonzero(mask)
        if not len(rows):
            return np.zeros(mask.shape, np.float32)
        counts = np.cumsum(mask, axis=1)[rows, ends]
        cut = mask[rows] & (np.arange(mask.shape[1]) <= ends[:, None])
        scores = self.reward(
            [examples[row] for row in rows.tolist()],
            [
                _beginning(responses[row], count)
                for row, count in zip(rows.tolist(), counts, strict=True)
            ],
            rollout.rows(rows)._replace(mask=cut),
        ).sum(axis=1, dtype=np.float64)
        before = np.where(counts == 1, 0.0, np.roll(scores, 1))
        rewards = np.zeros(mask.shape, np.float32)
        rewards[rows, ends] = scores - before
        return rewards


def _beginning(response: Response, count: int) -> Response:
    """The first `count` tokens of a response, as a response."""
    if count == len(response.token_ids):
        return response
    offsets = response.offsets[:count]
    text = response.text[: offsets[-1][1]]
    return Response(text, response.token_ids[:count], offsets, False)
