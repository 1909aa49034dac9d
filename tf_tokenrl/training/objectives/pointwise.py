"""Pointwise: a critic learns what people gave an answer."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.objectives import base
from tf_tokenrl.training.rows import Rows

KINDS = ("regression", "classification")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pointwise(base.Objective):
    """The reward model of single judgements.

        loss = (r(y) - score)^2                                 regression
        loss = -score log s(r(y)) - (1 - score) log s(-r(y))    classification

    a mean over answers, s being the logistic function and r the value head's
    number before an answer's stop token; see `base.answer_scores`.

    An example's reference is the answer, and its key ends in ":SCORE", a
    number, or ":good" or ":bad" for 1 and 0.

    Attributes:
        kind: "regression"; or "classification", of scores from 0 to 1.
        per_token: r is the mean over all places of an answer, so that each
            prefix learns to say how the whole is judged.
    """

    measure = "loss"

    kind: str = "regression"
    per_token: bool = False

    def __post_init__(self):
        if self.kind not in KINDS:
            raise TokenRLError(
                f'The kind of a pointwise reward model is "{self.kind}": '
                f"choose one of {', '.join(KINDS)}."
            )

    def rows(self, policy: Policy, examples: Sequence[Example]) -> Rows:
        """See `Objective.rows`.

        Raises:
            TokenRLError: there are no examples, or one has no score, or one
                beyond 0 to 1 that "classification" has no use for.
        """
        base.require_rows(examples)
        scores = [base.score_of(example) for example in examples]
        if self.kind == "classification":
            for example, score in zip(examples, scores, strict=True):
                if not 0.0 <= score <= 1.0:
                    raise TokenRLError(
                        f'The score of "{example.key}" is {score:g}, and a '
                        "classification needs one from 0 to 1: choose "
                        "pointwise(kind='regression')."
                    )
        answers = policy.encode_pairs(
            [example.prompt for example in examples],
            [example.reference for example in examples],
        )
        columns = {"score": [np.array([s], np.float32) for s in scores]}
        return Rows(base.answer_columns(answers) | columns)

    def counts(self, batch: Mapping[str, Tensor]) -> base.Terms:
        """See `Objective.counts`."""
        rows = base.each_row(batch)
        names = ["loss"]
        if self.kind == "classification":
            names.append("accuracy")
        return dict.fromkeys(names, rows)

    def terms(
        self,
        policy: Policy,
        batch: Mapping[str, Tensor],
        reference: Policy | None,
        seen: Mapping[str, Tensor],
    ) -> base.Terms:
        """See `Objective.terms`."""
        given = base.answer_scores(policy, batch, "", self.per_token)
        wanted = batch["score"][:, 0]
        if self.kind == "regression":
            return {"loss": tf.square(given - wanted)}
        loss = tf.nn.sigmoid_cross_entropy_with_logits(wanted, given)
        side = tf.sign(wanted - 0.5) * given
        return {"loss": loss, "accuracy": base.accuracy(side)}
