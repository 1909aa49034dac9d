"""A batch collected half by half, its rewards meanwhile."""

import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tf_tokenrl.flow import Rollout

Terms = dict[str, np.ndarray]


def in_halves(
    sample: Callable[[slice], Rollout],
    score: Callable[[slice, Rollout], Terms],
    rows: int,
    unit: int,
) -> tuple[Rollout, Terms]:
    """Samples one half of a batch while the other is being scored.

    Args:
        sample: answers some rows.
        score: `[b, T]` for each row that `sample` answered, by name; runs in
            a thread of its own where there are two halves.
        rows: B.
        unit: rows that must stay together; a batch of one unit is not cut.

    Returns:
        The whole rollout, and `[B, T]` by name.

    Raises:
        Exception: what `sample` or `score` raises, as it is.
    """
    middle = rows // unit // 2 * unit
    if not middle:
        everything = slice(0, rows)
        rollout = sample(everything)
        return rollout, score(everything, rollout)
    parts = slice(0, middle), slice(middle, rows)
    with ThreadPoolExecutor(1) as thread:
        rollouts = [sample(parts[0])]
        # The context knows by which processes rewards are computed.
        run = contextvars.copy_context().run
        early = thread.submit(run, score, parts[0], rollouts[0])
        rollouts.append(sample(parts[1]))
        terms = [early.result(), score(parts[1], rollouts[1])]
    joined = {name: _join(found[name] for found in terms) for name in terms[0]}
    fields = zip(*rollouts, strict=True)
    return Rollout(
        *(None if f[0] is None else _join(f) for f in fields)
    ), joined


def _join(parts: Iterable[np.ndarray]) -> np.ndarray:
    """Rows one below the other, with zeros after the shorter ones."""
    parts = list(parts)
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(p, [(0, 0), (0, width - p.shape[1])]) for p in parts]
    )
