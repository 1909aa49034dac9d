"""How natural the answer reads to a frozen language model."""

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards.base import Reward


class Perplexity(Reward):
    """Log-likelihood of each chosen token under a frozen model, in nats.

        r_t = log p_frozen(a_t),   mean over tokens = -ln perplexity

    so that more reward is less perplexity.

    Attributes:
        policy: the frozen model, anything with
            `score(rollout) -> Scores`; None takes the trainer's reference.

    Note:
        The values are those of the temperature at which the model scores.
    """

    def __init__(self, policy=None):
        self.policy = policy

    def __call__(self, examples, responses, rollout) -> np.ndarray:
        """See `Reward.__call__`.

        Raises:
            TokenRLError: there is neither a policy nor a reference.
        """
        log_probs = rollout.reference_log_probs
        if self.policy is not None:
            log_probs = self.policy.score(rollout).log_probs
        if log_probs is None:
            raise TokenRLError(
                "Reward perplexity() needs a frozen language model: give the "
                "trainer one, as in reference=policy.frozen_copy(), or pass "
                "policy= to the reward."
            )
        return log_probs
