"""Tests that hold however often one looks."""

import math


def log_evidence(successes: int, failures: int, chance: float = 0.5) -> float:
    """How strongly counts speak against a chance of success, in nats.

        E = B(1 + s, 1 + f) / (p^s (1 - p)^f)

    The mean over all chances, each as likely as the other, of how much
    likelier they make what was seen than `chance` does. Where `chance` is
    right, E is a martingale of mean 1, so the probability that it *ever*
    reaches 1 / alpha is at most alpha (Ville): one may look after each row
    and stop when one likes.

    Args:
        successes: s.
        failures: f.
        chance: p, above 0 and below 1.

    Returns:
        ln E.

    Source: Ville (1939); Robbins (1970), "Statistical Methods Related to the
    Law of the Iterated Logarithm".
    """
    mixed = (
        math.lgamma(1 + successes)
        + math.lgamma(1 + failures)
        - math.lgamma(2 + successes + failures)
    )
    seen = successes * math.log(chance) + failures * math.log1p(-chance)
    return mixed - seen


def evidence(successes: int, failures: int, chance: float = 0.5) -> float:
    """E of `log_evidence`; infinity where it is beyond all numbers."""
    exponent = log_evidence(successes, failures, chance)
    return math.exp(exponent) if exponent < 700 else math.inf
