"""What a step tells of itself: the logs that `docs/metrics.md` explains."""

import numpy as np

from tf_tokenrl.flow import Batch, Rollout, Tensor


def of_rollout(batch: Batch, stop_ids: tuple[int, ...]) -> dict[str, float]:
    """Means over the answers of a batch: reward, KL, length, stops."""
    rollout, rows = batch.rollout, len(batch.rewards)
    logs = {"reward": float(batch.rewards.sum() / rows)}
    if rollout.reference_log_probs is not None:
        logs["kl"] = float(_kl(rollout).sum() / rows)
    logs["length"] = float(rollout.mask.sum() / rows)
    if stop_ids:
        logs["stopped"] = float(_stopped(rollout, stop_ids).mean())
    return logs


def of_clock(tokens: int, seconds: float) -> dict[str, float]:
    """How long the step took, and how fast that was."""
    return {
        "seconds": seconds,
        "tokens_per_second": float(tokens / seconds),
    }


def of_terms(terms: dict[str, Tensor]) -> dict[str, float]:
    """What each term of the reward gave an answer in the mean."""
    return {
        f"rewards/{name}": float(values.sum() / len(values))
        for name, values in terms.items()
    }


def _kl(rollout: Rollout) -> np.ndarray:
    gap = rollout.log_probs - rollout.reference_log_probs
    return np.where(rollout.mask, gap, 0.0)


def _stopped(rollout: Rollout, stop_ids: tuple[int, ...]) -> np.ndarray:
    return (np.isin(rollout.actions, stop_ids) & rollout.mask).any(axis=-1)
