"""Is a reward model as often right as it says?"""

from typing import NamedTuple

import numpy as np


class Bin(NamedTuple):
    """Pairs of which the model is about equally sure.

    Attributes:
        low: least probability of the answer it puts ahead.
        high: greatest.
        pairs: how many there are.
        confidence: the mean of these probabilities.
        accuracy: share in which that answer is the preferred one; ties half.
    """

    low: float
    high: float
    pairs: int
    confidence: float
    accuracy: float


def reliability(gaps: np.ndarray, bins: int = 5) -> list[Bin]:
    """Confidence and accuracy of pairs, by confidence.

        confidence = s(|r(y+) - r(y-)|)

    Args:
        gaps: r(y+) - r(y-) of each pair, y+ the preferred answer.
        bins: of equal width between 1/2 and 1; empty ones are left out.

    Source: Guo et al. (2017), "On Calibration of Modern Neural Networks",
    section 2.
    """
    confidence = 1.0 / (1.0 + np.exp(-np.abs(gaps)))
    right = 0.5 * (1.0 + np.sign(gaps))
    edges = np.linspace(0.5, 1.0, bins + 1)
    places = np.clip(np.digitize(confidence, edges) - 1, 0, bins - 1)
    return [
        Bin(
            float(edges[i]),
            float(edges[i + 1]),
            int(mine.sum()),
            float(confidence[mine].mean()),
            float(right[mine].mean()),
        )
        for i in range(bins)
        if (mine := places == i).any()
    ]


def expected_error(found: list[Bin]) -> float:
    """Mean distance of confidence and accuracy over all pairs."""
    total = sum(b.pairs for b in found)
    gaps = (b.pairs * abs(b.confidence - b.accuracy) for b in found)
    return sum(gaps) / total if total else 0.0


def table(found: list[Bin]) -> str:
    """The bins as aligned text, with a bar for the accuracy."""
    lines = ["confidence    pairs  says   is"]
    for b in found:
        bar = "#" * round(40 * b.accuracy)
        lines.append(
            f"{b.low:.2f} to {b.high:.2f} {b.pairs:6d}  {b.confidence:.2f}  "
            f"{b.accuracy:.2f}  {bar}"
        )
    return "\n".join(lines)
