"""`python -m benchmarks.scaling`: how time grows with what is asked for.

Sampling: seconds per token when more and more tokens are there already, from
one graph with room for all of them. Update: seconds against the number of
answers and against their length.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.options import Learning
from tf_tokenrl.errors import TokenRLError

_FACTORS = (1, 2, 4)  # of the answers' number and of their length


@dataclass(frozen=True)
class Scaling(Learning):
    """Sampling at growing contexts, updates of growing size.

    Attributes:
        longest: tokens of the longest text that is sampled.
    """

    longest: int = 1024


def measure(work: Scaling) -> dict:
    """Seconds per token by context, seconds per update by size."""
    from benchmarks import timing

    contexts, per_token = _sampling(work)
    report = {
        **command.described(work),
        "contexts": contexts,
        "seconds_per_token": [round(s, 6) for s in per_token],
        "sampling_over_line": over_line(contexts, per_token),
    }
    for name in ("batch", "new"):
        sizes = [getattr(work, name) * factor for factor in _FACTORS]
        seconds = [_update(work, **{name: size}) for size in sizes]
        report[f"update_{name}"] = sizes
        report[f"update_{name}_seconds"] = [round(s, 4) for s in seconds]
        report[f"update_{name}_over_line"] = over_line(sizes, seconds)
    return {**report, "peak_memory_mb": timing.peak_memory_mb()}


def over_line(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The last time over that of a straight line through those before.

    1 is linear growth, whatever the fixed cost; the line is that of least
    squares.

    Raises:
        TokenRLError: fewer than three sizes.
    """
    if len(sizes) < 3:
        raise TokenRLError(
            f"Growth shows at three sizes or more, not at {len(sizes)}: give "
            "a greater --longest."
        )
    slope, start = np.polyfit(sizes[:-1], seconds[:-1], 1)
    return round(float(seconds[-1] / (start + slope * sizes[-1])), 3)


def stretches(prompt: int, longest: int) -> list[int]:
    """Lengths of texts: one new token, then each twice the one before."""
    found, length = [prompt + 1], 2 * prompt
    while length <= longest:
        found.append(length)
        length *= 2
    return found


def _sampling(work: Scaling) -> tuple[list[float], list[float]]:
    """Contexts, and the seconds of one more token of each answer there."""
    from benchmarks import subjects, timing
    from tf_tokenrl.training.rollouts.sampler import Sampler

    ends = stretches(work.prompt, work.longest)
    room = dataclasses.replace(work, new=max(ends) - work.prompt)
    policy = subjects.policy(room)
    collect = Sampler(policy, None, seed=0)
    prompts = policy.encode(subjects.prompts(room, room.batch))
    seconds = []
    for end in ends:
        limit = {"max_new_tokens": np.int32(end - work.prompt)}
        call = functools.partial(collect, *prompts, 0, limit)
        seconds.append(timing.timed(call, _calls(work)).median)
    tokens = np.diff(ends)
    contexts = np.asarray(ends[:-1]) + tokens / 2
    return contexts.tolist(), (np.diff(seconds) / tokens).tolist()


def _update(work: Scaling, **size: Any) -> float:
    from benchmarks import subjects, update

    work = dataclasses.replace(work, iterations=_calls(work), **size)
    return update.seconds(subjects.trainer(work), work).median


def _calls(work: Scaling) -> int:
    return work.iterations + 1  # one for warming up


def main(arguments: Sequence[str] | None = None) -> dict:
    """See `command.run`."""
    return command.run("scaling", Scaling, measure, arguments)


if __name__ == "__main__":
    main()
