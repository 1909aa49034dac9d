"""What the reference answers of a batch teach, as an algorithm asks."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.decoding.prefix import Given
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.policies.base import Policy


class Lesson(NamedTuple):
    """Reference answers, and how far they are dictated.

    Attributes:
        teacher: the references as rollouts, the mask True on the tokens to be
            imitated; None where nothing is imitated.
        given: the tokens that begin the policy's own answers; None where it
            writes them alone.
    """

    teacher: Rollout | None = None
    given: Given | None = None


def prepare(
    policy: Policy,
    algorithm: Algorithm,
    examples: Sequence[Example],
    step: int,
) -> Lesson:
    """The lesson of one step, NumPy arrays throughout.

    Raises:
        TokenRLError: an example has no reference, or one that is too long.
    """
    if not algorithm.imitates:
        return Lesson()
    check_references(examples)
    teacher = policy.encode_pairs(
        [example.prompt for example in examples],
        [example.reference for example in examples],
    )
    lengths = teacher.mask.sum(axis=-1).astype(np.int32)
    counts = algorithm.given_tokens(lengths, step)
    if counts is None:
        return Lesson(teacher)
    counts = np.asarray(counts, np.int32)
    places = np.arange(teacher.mask.shape[1])[None]
    taught = teacher.mask & (places < counts[:, None])
    given = Given(np.asarray(teacher.actions), counts, counts >= lengths)
    return Lesson(teacher._replace(mask=taught), given)


def check_references(examples: Sequence[Example]) -> None:
    """Every example must have something to imitate."""
    for example in examples:
        if not example.references:
            raise TokenRLError(
                f'Example "{example.key or example.prompt[:40]}" has no '
                "reference answer to imitate: choose another algorithm, or "
                "data with references."
            )


def whole(
    rollout: Rollout, lesson: Lesson, part: slice = slice(None)
) -> Rollout:
    """A rollout as rewards see it: the given tokens count as chosen.

    Args:
        rollout: of some rows of a batch.
        lesson: of the whole batch.
        part: which rows.
    """
    if lesson.given is None:
        return rollout
    places = np.arange(rollout.mask.shape[1])[None]
    begun = places < lesson.given.counts[part][:, None]
    return rollout._replace(mask=rollout.mask | begun)
