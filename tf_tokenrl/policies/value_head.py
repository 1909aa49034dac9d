"""The value head as a judge of answers: fresh, and calibrated."""

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.base import Policy


def make_fresh(policy: Policy, seed: int) -> None:
    """Draw the value head's weights anew, as a reward model begins.

    kernel ~ N(0, 1 / (d + 1)), bias = 0

    where d is the width of the states. A critic begins at 0 instead, and what
    it learned is not what people prefer.

    Source: Stiennon et al. (2020), "Learning to summarize from human
    feedback", appendix B.1.
    """
    kernel, bias = policy.value_head.weights
    width = kernel.shape[0]
    drawn = np.random.default_rng(seed).normal(
        0.0, (width + 1) ** -0.5, kernel.shape
    )
    kernel.assign(drawn.astype(np.float32))
    bias.assign(np.zeros(bias.shape, np.float32))


def calibrate(policy: Policy, scores: np.ndarray) -> tuple[float, float]:
    """Let what the head gives have mean 0 and variance 1.

    V <- (V - mean) / deviation, exactly, for the head is linear.

    Args:
        policy: whose value head is changed.
        scores: what it gives the answers of reference.

    Returns:
        Mean and deviation before.

    Raises:
        TokenRLError: it gives all of them the same.
    """
    mean, deviation = float(np.mean(scores)), float(np.std(scores))
    if not deviation > 0.0:
        raise TokenRLError(
            f"The reward model gives all {len(scores)} answers the same "
            f"({mean:g}), so that it cannot be calibrated: train it longer, "
            "or on answers that differ."
        )
    kernel, bias = policy.value_head.weights
    kernel.assign(kernel / deviation)
    bias.assign((bias - mean) / deviation)
    return mean, deviation
