"""What the reference answers of a batch teach, as an algorithm asks."""

from collections.abc import Sequence

import numpy as np

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout


def imitated(
    algorithm: Algorithm, references: Rollout | None, step: int
) -> tuple[Rollout | None, Prefix | None]:
    """What of the references is imitated in a step, and what is dictated.

    Args:
        algorithm: decides both.
        references: the preferred answers as rollouts, NumPy arrays; None
            where nothing is imitated.
        step: number of the step.

    Returns:
        The references with the mask True on the tokens to be imitated, None
        where nothing is; and the tokens that begin the policy's own answers,
        None where it writes them alone.
    """
    if references is None:
        return None, None
    lengths = references.mask.sum(axis=-1).astype(np.int32)
    counts = algorithm.prefix_lengths(lengths, step)
    if counts is None:
        return references, None
    counts = np.asarray(counts, np.int32)
    places = np.arange(references.mask.shape[1])[None]
    taught = references.mask & (places < counts[:, None])
    prefix = Prefix(np.asarray(references.actions), counts, counts >= lengths)
    return references._replace(mask=taught), prefix


def check_references(examples: Sequence[Example]) -> None:
    """Every example must have something to imitate."""
    for example in examples:
        if not example.references:
            raise TokenRLError(
                f'Example "{example.key or example.prompt[:40]}" has no '
                "reference answer to imitate: choose another algorithm, or "
                "data with references."
            )
