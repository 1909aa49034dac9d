"""Divergence from the reference as a reward, to be subtracted."""

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.ops.kl import ESTIMATORS
from tf_tokenrl.rewards.base import Reward
from tf_tokenrl.rewards.shared import checks


class Kl(Reward):
    """How far each chosen token departs from the frozen reference, in nats.

        k1_t = log p(a_t) - log p_reference(a_t)

    It is positive where the policy departs: write `- 0.05 * kl`.

    Attributes:
        estimator: "k1", "k2" or "k3", see `tf_tokenrl.ops.kl`. With k1 the
            expected sum over a text is the divergence of whole texts.

    Source: Ziegler et al. (2019), "Fine-Tuning Language Models from Human
    Preferences", eq. 2.
    """

    def __init__(self, estimator: str = "k1"):
        if estimator not in ESTIMATORS:
            raise TokenRLError(
                f'Kl: estimator "{estimator}" is not one of '
                f"{', '.join(ESTIMATORS)}."
            )
        self.estimator = estimator

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`.

        Raises:
            TokenRLError: the rollout has no reference.
        """
        if rollout.reference_log_probs is None:
            raise TokenRLError(
                f"Reward {self!r} needs a frozen reference to compare with: "
                "give the trainer one, as in reference=policy.frozen_copy()."
            )
        reference = np.asarray(rollout.reference_log_probs)
        with np.errstate(invalid="ignore"):  # masked slots hold anything
            log_ratio = np.asarray(rollout.log_probs) - reference
        log_ratio = checks.placed(self, log_ratio, examples, rollout)
        return ESTIMATORS[self.estimator](log_ratio).numpy()
