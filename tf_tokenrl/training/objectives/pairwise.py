"""Pairwise: a critic learns which of two answers people prefer."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.rows import Rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairwise(base.Objective):
    """The reward model of Bradley and Terry.

        loss = -log s(r(y+) - r(y-) - margin) + center (r(y+) + r(y-))^2

    a mean over pairs, s being the logistic function and r the value head's
    number before an answer's stop token; see `base.answer_scores`.

    An example's first reference is the preferred answer, its second the
    other one.

    Attributes:
        margin: by how much the preferred answer should be ahead.
        center: holds scores near 0, which the first term leaves open.
        per_token: r is the mean over all places of an answer, so that each
            prefix learns to say how the whole is judged.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", equation 1; Touvron et al. (2023), "Llama 2", equation 2
    for the margin.
    """

    measure = "loss"

    margin: float = 0.0
    center: float = 0.0
    per_token: bool = False

    def __post_init__(self):
        for name in ("margin", "center"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise TokenRLError(
                    f"{name} must be at least 0, not {getattr(self, name)!r}."
                )

    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """See `Objective.rows`."""
        return base.pairs(policy, examples)

    def usable(
        self, policy: Policy, examples: Sequence[Example]
    ) -> list[Example]:
        """Those whose two answers differ."""
        return base.distinct_pairs(policy, examples)

    def counts(self, batch: Mapping[str, Tensor]) -> base.Terms:
        """See `Objective.counts`."""
        pairs = base.each_row(batch)
        return {name: pairs for name in ("loss", "gap", "accuracy")}

    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> base.Terms:
        """See `Objective.terms`."""
        better, worse = (
            base.answer_scores(policy, batch, name, self.per_token)
            for name in (base.BETTER, base.WORSE)
        )
        gap = better - worse
        loss = tf.nn.softplus(self.margin - gap)
        if self.center:
            loss += self.center * tf.square(better + worse)
        return {"loss": loss, "gap": gap, "accuracy": base.accuracy(gap)}
