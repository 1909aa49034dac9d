"""KTO: answers that people liked become more likely, others less."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.rows import Rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kto(base.Objective):
    """Kahneman-Tversky optimisation, from thumbs up and thumbs down.

        r    = log p(y) - log q(y)
        z    = max(0, mean of r over answers to other prompts), a constant
        loss = w+ (1 - s(beta (r - z)))        where y is liked
        loss = w- (1 - s(beta (z - r)))        where it is not

    a mean over answers. p is the policy, q the frozen reference, s the
    logistic function; log p(y) is a sum over the answer's tokens, its stop
    token included, at temperature 1. z estimates KL(p | q) from answers that
    belong to another prompt: each row is paired once, in the data, with the
    answer of the next row that has another prompt, and z is the mean over the
    global minibatch.

    An example's reference is an answer to its prompt; its key ends in
    ":good" or ":bad" and says which it is.

    Attributes:
        beta: how firmly the reference is held on to.
        liked_weight: w+.
        disliked_weight: w-.

    Source: Ethayarajh et al. (2024), "KTO: Model Alignment as Prospect
    Theoretic Optimization", equations 7 and 8.
    """

    measure = "loss"
    needs_reference = True

    beta: float = 0.1
    liked_weight: float = 1.0
    disliked_weight: float = 1.0

    def __post_init__(self):
        for name in ("beta", "liked_weight", "disliked_weight"):
            value = getattr(self, name)
            if not 0.0 < value < math.inf:
                raise TokenRLError(f"{name} must be above 0, not {value!r}.")

    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """See `Objective.rows`.

        Raises:
            TokenRLError: there are no examples, an answer is not judged, or
                all have the same prompt.
        """
        base.require_rows(examples)
        liked = [_liked(example) for example in examples]
        partners = _partners([example.prompt for example in examples])
        prompts = [example.prompt for example in examples]
        answers = [example.reference for example in examples]
        own = policy.encode_pairs(prompts, answers)
        other = policy.encode_pairs(prompts, [answers[i] for i in partners])
        return Rows(
            base.answer_columns(own)
            | base.answer_columns(other, base.OTHER)
            | {"liked": [np.array([x], np.float32) for x in liked]}
        )

    def counts(self, batch: Mapping[str, Tensor]) -> base.Terms:
        """See `Objective.counts`."""
        every = base.each_row(batch)
        liked = every * batch["liked"][:, 0]
        return {
            "loss": every,
            "baseline": every,
            "liked_reward": liked,
            "disliked_reward": every - liked,
        }

    def look(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
    ) -> base.Terms:
        """The mean log-ratio of answers that belong to other prompts."""
        ours = base.answer_log_probs(policy, batch, base.OTHER)
        theirs = base.answer_log_probs(reference, batch, base.OTHER)
        return {"baseline": ours - theirs}

    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> base.Terms:
        """See `Objective.terms`."""
        z = tf.maximum(seen["baseline"], 0.0)
        ours = base.answer_log_probs(policy, batch)
        ratio = ours - base.answer_log_probs(reference, batch)
        liked = batch["liked"][:, 0] > 0.5
        # 1 - s(x) is s(-x).
        up = self.liked_weight * tf.sigmoid(self.beta * (z - ratio))
        down = self.disliked_weight * tf.sigmoid(self.beta * (ratio - z))
        reward = self.beta * tf.stop_gradient(ratio)
        return {
            "loss": tf.where(liked, up, down),
            "baseline": tf.fill(tf.shape(ratio), z),
            "liked_reward": reward,
            "disliked_reward": reward,
        }


def _liked(example: Example) -> float:
    score = base.score_of(example)
    if score not in (0.0, 1.0):
        raise TokenRLError(
            f'KTO knows thumbs up and down, not the score {score:g} of "'
            f'{example.key}": let the key end in ":good" or ":bad".'
        )
    return score


def _partners(prompts: Sequence[str]) -> list[int]:
    """For each row the next one, round the end, that has another prompt."""
    if len(set(prompts)) < 2:
        raise TokenRLError(
            "KTO needs answers to at least two different prompts, to compare "
            "each with answers to others."
        )
    count = len(prompts)
    following = list(range(1, count + 1))
    # From the end, twice: the first pass does not know what the last row sees.
    for index in [*reversed(range(count))] * 2:
        place = (index + 1) % count
        if prompts[place] == prompts[index]:
            place = following[place] % count
        following[index] = place
    return following
