"""Rewards that cannot see what is good about the data at hand."""

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.shared.placement import words

_MOST = 16  # references looked at


def warn(reward: Reward, examples: Sequence[Example]) -> list[str]:
    """Say which parts of a reward are 0 for every reference itself.

    Such a part cannot tell a good answer from a bad one: it reads another
    script or format, or its file speaks of other prompts. Parts that are
    subtracted mark faults, which references lack, and parts made of tensors
    cannot be asked about a text; neither is looked at.

    Returns:
        The expressions of these parts.
    """
    parts = list(_parts(reward))
    for part in parts:
        remark = getattr(part, "remark", None)  # of a reward with a file
        if remark is not None and (text := remark(examples)):
            print(f"Warning: {part!r}: {text}.", file=sys.stderr)
    parts = [part for part in parts if not hasattr(part, "remark")]
    some = [example for example in examples if example.references][:_MOST]
    blind = [repr(part) for part in parts if _is_blind(part, some)]
    for name in blind:
        print(
            f"Warning: the reward {name} is 0 for each of the first "
            f"{len(some)} reference answers, so it cannot tell good answers "
            "from bad ones here: check its language, its options and the "
            "data.",
            file=sys.stderr,
        )
    return blind


def of_reference(example: Example) -> Response:
    """The preferred reference as an answer, each word a token."""
    text = example.reference
    ends = [end for _, end in words(text)] or [0]
    ends[-1] = len(text)
    offsets = tuple(zip([0, *ends], ends, strict=False))
    return Response(text, tuple(range(len(offsets))), offsets, True)


def _parts(reward: Reward) -> Iterator[Reward]:
    """The innermost rewards that are added."""
    for _, weight, term in reward.terms():
        if weight > 0 and (inner := term.within()):
            for part in inner:
                yield from _parts(part)
        elif weight > 0 and type(term).__call__ is Reward.__call__:
            yield term


def _is_blind(reward: Reward, examples: Sequence[Example]) -> bool:
    if not examples:
        return False
    scores = reward.score_batch(examples, [of_reference(e) for e in examples])
    return not any(np.any(np.asarray(score)) for score in scores)
