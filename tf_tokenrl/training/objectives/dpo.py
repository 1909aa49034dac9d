"""DPO: the preferred of two answers becomes more likely than the other."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.rows import Rows

LOSSES = ("sigmoid", "ipo")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dpo(base.Objective):
    """Direct preference optimisation, from pairs of answers to a prompt.

        h    = (log p(y+) - log p(y-)) - (log q(y+) - log q(y-))
        loss = -(1 - e) log s(beta h) - e log s(-beta h)          sigmoid
        loss = (h / length - 1 / (2 beta))^2                      ipo

    a mean over pairs. p is the policy, q the frozen reference, y+ the
    preferred answer with its stop token, s the logistic function; log p(y) is
    a sum over the answer's tokens at temperature 1. "ipo" takes means over
    each answer's tokens, its stop token included, in place of the sums.

    An example's first reference is the preferred answer, its second the
    other one.

    Attributes:
        beta: how firmly the reference is held on to.
        loss: "sigmoid" or "ipo".
        label_smoothing: e, the share of pairs that are the wrong way round;
            for "sigmoid" alone.

    The metrics `margin` (nats, beta h; h of means for "ipo") and `accuracy`
    (of implied rewards, ties half) are means over pairs, too.

    Source: Rafailov et al. (2023), "Direct Preference Optimization",
    equation 7; Mitchell (2023), "A note on DPO with noisy preferences",
    equation 3; Azar et al. (2023), "A General Theoretical Paradigm to
    Understand Learning from Human Preferences", equation 17.

    Note:
        Means in "ipo" as in TRL since 0.8, where the paper has sums: the gap
        1 / (2 beta) then means the same for short and for long answers.
    """

    measure = "loss"
    needs_reference = True

    beta: float = 0.1
    loss: str = "sigmoid"
    label_smoothing: float = 0.0

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise TokenRLError(
                f'The loss of DPO is "{self.loss}": choose one of '
                f"{', '.join(LOSSES)}."
            )
        if not 0.0 < self.beta < math.inf:
            raise TokenRLError(f"beta must be above 0, not {self.beta!r}.")
        if not 0.0 <= self.label_smoothing < 0.5:
            raise TokenRLError(
                "label_smoothing must be at least 0 and below 0.5, not "
                f"{self.label_smoothing!r}."
            )
        if self.label_smoothing and self.loss == "ipo":
            raise TokenRLError("IPO has no label_smoothing: leave it out.")

    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """See `Objective.rows`; both answers go with the same prompt ids."""
        return base.pairs(policy, examples)

    def usable(
        self, policy: Policy, examples: Sequence[Example]
    ) -> list[Example]:
        """Those whose two answers differ."""
        return base.distinct_pairs(policy, examples)

    def counts(self, batch: Mapping[str, Tensor]) -> base.Terms:
        """See `Objective.counts`."""
        pairs = base.each_row(batch)
        return {name: pairs for name in ("loss", "margin", "accuracy")}

    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> base.Terms:
        """See `Objective.terms`."""
        mean = self.loss == "ipo"
        gaps = [
            base.answer_log_probs(policy, batch, name, mean)
            - base.answer_log_probs(reference, batch, name, mean)
            for name in (base.BETTER, base.WORSE)
        ]
        gap = gaps[0] - gaps[1]
        if mean:
            margin = gap
            loss = tf.square(gap - 0.5 / self.beta)
        else:
            margin = self.beta * gap
            e = self.label_smoothing
            loss = (1 - e) * tf.nn.softplus(-margin) + e * tf.nn.softplus(
                margin
            )
        return {
            "loss": loss,
            "margin": margin,
            "accuracy": base.accuracy(margin),
        }
