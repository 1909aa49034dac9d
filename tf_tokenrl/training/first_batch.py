"""Does what was sampled agree with what will be learned from?

Run once, on the first batch of a fresh run and before its first update: then
policy, sampler and reference are still the same, and every difference is a
mistake that would otherwise train on in silence.
"""

from collections.abc import Callable, Collection

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Rollout, Scores

NAMES = frozenset({"trainable", "finite", "stop", "ratio", "kl", "padding"})
_ROWS = 8
_TOLERANCE, _LOW_PRECISION_TOLERANCE = 1e-3, 0.25


def check(
    policy,
    rollout: Rollout,
    score: Callable[[Rollout], Scores],
    names: Collection[str] = NAMES,
) -> None:
    """Refuse to train on a batch that contradicts itself.

        trainable  the policy has weights that can learn
        finite     log-probs and values are finite, log-probs not above 0
        stop       a stop token is chosen, and nothing after it
        ratio      |log p_trained - log p_sampled| <= tolerance
        kl         |log p_sampled - log p_reference| <= tolerance
        padding    a row scored alone is scored as in its batch, within the
                   tolerance

    The tolerance is 1e-3 nats, 0.25 where a layer computes in 16 bits. At
    most eight rows are scored.

    Args:
        policy: what learns.
        rollout: its first batch, as the trainer collected it.
        score: scores a rollout as the update will.
        names: which of the checks to make. Leave out "kl" where the
            reference is meant to be another policy than the start.

    Raises:
        TokenRLError: a check failed; says which, and the remedy.
    """
    if "trainable" in names and not policy.trainable_variables:
        raise _failed(
            "trainable",
            "the policy has nothing to train",
            "set policy.trainable = True before the trainer is made",
        )
    if "finite" in names:
        _check_finite(rollout)
    if "stop" in names and policy.stop_ids:
        _check_stop(policy, rollout)
    tolerance = _tolerance(policy)
    if "kl" in names and rollout.reference_log_probs is not None:
        _check_kl(rollout, tolerance)
    rows = _rows(rollout)
    scores = score(rollout.rows(rows))
    if "ratio" in names:
        _check_ratio(rollout, rows, scores, tolerance)
    if "padding" in names:
        _check_padding(rollout, rows, scores, score, tolerance)


def _check_finite(rollout: Rollout) -> None:
    for name in ("log_probs", "values"):
        values = np.asarray(getattr(rollout, name))[rollout.mask]
        if not np.isfinite(values).all():
            raise _failed(
                "finite",
                f"{name} of the first batch are not finite",
                "look for NaN in the policy's weights",
            )
    largest = np.max(rollout.log_probs[rollout.mask], initial=-np.inf)
    if largest > _TOLERANCE:
        raise _failed(
            "finite",
            f"a log-probability is {largest:.3g}, above 0",
            "let the policy's `act` return normalised log-probs in nats",
        )


def _check_stop(policy, rollout: Rollout) -> None:
    stops = np.isin(rollout.actions, policy.stop_ids)
    for row, chosen in enumerate(np.asarray(rollout.mask)):
        places = np.flatnonzero(chosen)
        if not len(places):
            continue
        if stops[row][places[:-1]].any():
            raise _failed(
                "stop",
                f"answer {row} goes on after a stop token",
                "end its mask with the first stop token",
            )
        ended = places[-1] + 1 < policy.max_new_tokens
        if ended and not stops[row][places[-1]]:
            raise _failed(
                "stop",
                f"answer {row} ended without a chosen stop token",
                "let the mask include the stop token, so that it is rewarded "
                "and learned",
            )


def _check_kl(rollout: Rollout, tolerance: float) -> None:
    gap = _largest(rollout.log_probs, rollout.reference_log_probs, rollout.mask)
    if not gap <= tolerance:
        raise _failed(
            "kl",
            f"policy and reference differ by {gap:.3g} nats at a token before "
            f"the first update, more than {tolerance:g}",
            "make the reference by policy.frozen_copy() after the policy's "
            'weights are set, or leave "kl" out of the option self_check if it '
            "is meant to be another policy",
        )


def _check_ratio(rollout, rows, scores: Scores, tolerance: float) -> None:
    gap = _largest(
        rollout.log_probs[rows], scores.log_probs, rollout.mask[rows]
    )
    if not gap <= tolerance:
        raise _failed(
            "ratio",
            f"log-probs of sampling and of training differ by {gap:.3g} nats "
            f"before the first update, more than {tolerance:g}, so the ratio "
            "does not start at 1",
            "make the policy's `act` and `score` agree on temperature, shift, "
            "dropout and padding",
        )


def _check_padding(rollout, rows, scores: Scores, score, tolerance) -> None:
    alone, columns = _shortest(rollout, rows[0])
    found = score(alone)
    for name in ("log_probs", "values"):
        together = np.asarray(getattr(scores, name))[:1, :columns]
        gap = _largest(together, getattr(found, name), alone.mask)
        if not gap <= tolerance:
            raise _failed(
                "padding",
                f"{name} of answer {rows[0]} change by {gap:.3g} with the "
                f"padding of its batch, more than {tolerance:g}",
                "let the model's attention and positions leave padding out",
            )


def _rows(rollout: Rollout) -> np.ndarray:
    """The shortest row, then others up to the longest."""
    lengths = np.asarray(rollout.prompt_mask).sum(-1) + rollout.mask.sum(-1)
    order = np.argsort(lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(_ROWS, len(order)))
    return order[places.astype(int)]


def _shortest(rollout: Rollout, row: int) -> tuple[Rollout, int]:
    """One row without its padding, and the columns of its answer."""
    alone = rollout.rows([row])
    chosen = np.flatnonzero(alone.mask[0])
    columns = int(chosen[-1]) + 1 if len(chosen) else 1
    width = int(alone.prompt_mask.sum())
    alone = alone._replace(
        prompt_ids=alone.prompt_ids[:, :width],
        prompt_mask=alone.prompt_mask[:, :width],
    )
    return alone.columns(columns), columns


def _largest(first, second, mask) -> float:
    """The largest difference at a chosen token; NaN where there is NaN."""
    gap = np.abs(np.asarray(first) - np.asarray(second))
    return float(np.max(gap[np.asarray(mask)], initial=0.0))


def _tolerance(policy) -> float:
    low = ("bfloat16", "float16")
    if any(layer.compute_dtype in low for layer in policy._flatten_layers()):
        return _LOW_PRECISION_TOLERANCE
    return _TOLERANCE


def _failed(name: str, what: str, remedy: str) -> TokenRLError:
    return TokenRLError(f'Self-check "{name}" failed: {what}; {remedy}.')
