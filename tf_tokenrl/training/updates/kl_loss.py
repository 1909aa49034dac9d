"""KL to the reference in the loss, for every algorithm alike."""

import typing
from typing import Literal

from tf_tokenrl import catalog, expressions, schedules
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout, Scores, Tensor
from tf_tokenrl.ops import kl
from tf_tokenrl.ops.masking import keep_chosen
from tf_tokenrl.schedules import Measurement, Schedule
from tf_tokenrl.schedules.base import check_number

Estimator = Literal["k1", "k2", "k3", "exact"]
ESTIMATORS = typing.get_args(Estimator)


class KlLoss:
    """Adds `weight` times the divergence from the reference to the loss.

        loss_t = the algorithm's loss + weight * KL_t

    Attributes:
        estimator: of KL_t. "k1", "k2" and "k3" are made of the sampled tokens
            and differ in value alone, for all have the gradient of KL, see
            `ops.kl.kl_loss`. "exact" is KL over the whole vocabulary, see
            `ops.categorical.judge`: no noise, at the cost of the reference in
            every update and of the output layers twice.
        weight: a number, or a schedule that may follow the measured KL of
            whole answers, `kl` in the logs.
        direct: differentiate "k2" or "k3" by itself instead, as GRPO was
            published with "k3".

    Note:
        A token's loss holds the tokens after it fixed. KL as a reward counts
        that a token leads to places where the policies differ; on the other
        hand it passes through advantages, and their noise.
    """

    def __init__(
        self,
        estimator: Estimator = "k3",
        weight: float | Schedule = 0.1,
        direct: bool = False,
    ):
        self.estimator = estimator
        self.weight = weight
        self.direct = direct
        if estimator not in ESTIMATORS:
            raise TokenRLError(
                f'KlLoss: estimator "{estimator}" is not one of '
                f"{', '.join(ESTIMATORS)}."
            )
        if not isinstance(weight, Schedule):
            check_number(self, "weight", 0.0)
            weight = schedules.get("constant", weight)
        if direct and estimator == "k1":
            raise TokenRLError(
                "KlLoss: k1 by itself has a gradient of mean 0 and would "
                "restrain nothing: leave out direct."
            )
        if direct and estimator == "exact":
            raise TokenRLError(
                "KlLoss: exact KL is differentiated directly anyway: leave "
                "out direct."
            )
        self._weight = weight

    @property
    def exact(self) -> bool:
        """Whether `per_token` needs the exact divergence."""
        return self.estimator == "exact"

    def weight_at(self, step: int) -> float:
        """The weight in step `step`, from 0."""
        return self._weight(step)

    def per_token(
        self, rollout: Rollout, scores: Scores, divergence: Tensor | None
    ) -> Tensor:
        """KL_t, float32 `[B, T]` in nats, before its weight, 0 where masked.

        Args:
            rollout: with `reference_log_probs`.
            scores: of the policy now.
            divergence: exact KL `[B, T]` of the policy now, where `exact`.
        """
        if self.exact:
            return keep_chosen(divergence, rollout.mask)
        return kl.kl_loss(
            self.estimator,
            scores.log_probs,
            rollout.log_probs,
            rollout.reference_log_probs,
            rollout.mask,
            self.direct,
        )

    def observe(self, measured: Measurement) -> None:
        """The step is over, and its KL per answer was `measured.mean`."""
        self._weight.observe(measured)

    def state(self) -> dict:
        """What `observe` left, fit for JSON; saved in checkpoints."""
        return self._weight.state()

    def restore(self, state: dict) -> None:
        """Take up what `state` gave."""
        self._weight.restore(state)

    def __repr__(self) -> str:
        return catalog.expression(self, __package__)


def parse(expression: str) -> KlLoss | None:
    """Build the loss that an expression describes; nothing is evaluated.

        k3
        exact, weight=0.05
        k3, weight=adaptive(0.1, target=6.0, horizon=10000), direct=True

    Returns:
        None for "".

    Raises:
        TokenRLError: it cannot be read, or an option cannot be.
    """
    if not expression.strip():
        return None
    names = {"kl_loss": ""} | {name: name for name in ESTIMATORS}
    return expressions.call(expression, KlLoss, _LANGUAGE, names)


_LANGUAGE = expressions.Language(
    "KL loss",
    (schedules.FAMILY,),
    "write an estimator and its options, as in k3, weight=0.1",
)
