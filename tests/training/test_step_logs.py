"""What a step tells of itself, by hand."""

import numpy as np
import pytest

from tf_tokenrl.flow import Batch, Rollout
from tf_tokenrl.training import step_logs

MASK = np.array([[True, True, False], [True, True, True]])
LOG_PROBS = np.array([[-1.0, -2.0, np.nan], [-0.5, -0.5, -1.0]])
REFERENCE = np.array([[-1.5, -2.5, np.nan], [-1.0, -1.0, -1.0]])


def test_kl_is_that_of_whole_answers():
    """Adaptive weights follow it; per token it would depend on the length."""
    ids = np.array([[4, 3, 0], [4, 4, 4]])
    rollout = Rollout(ids, MASK, ids, MASK, LOG_PROBS, LOG_PROBS, REFERENCE)
    rewards = np.array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]])
    logs = step_logs.of_rollout(Batch(rollout, rewards, None), (3,))
    assert logs["kl"] == pytest.approx((1.0 + 1.0) / 2)
    assert logs["reward"] == 1.0
    assert logs["length"] == 2.5 and logs["stopped"] == 0.5
