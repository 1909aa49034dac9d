"""What a reward gave back: numbers, finite, one per token, or an error."""

import asyncio
import functools
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response, Rollout


def score_row(reward, example: Example, response: Response):
    """`reward.score`, whose errors name the reward and the example.

    Raises:
        TokenRLError: whatever `score` raises.
    """
    try:
        return reward.score(example, response)
    except TokenRLError:
        raise
    except Exception as error:
        raise TokenRLError(
            f"Reward {reward!r} raised {_story(error)} for {name(example)}."
        ) from error


async def score_rows_together(reward, rows: Sequence[tuple]) -> list:
    """`score_row` for a `score` that waits, of all rows at a time.

    Raises:
        TokenRLError: whatever `score` raises, for the first row that failed;
            the others are cancelled.
    """

    async def of_row(example: Example, response: Response):
        try:
            return await reward.score(example, response)
        except TokenRLError:
            raise
        except Exception as error:
            raise TokenRLError(
                f"Reward {reward!r} raised {_story(error)} for {name(example)}."
            ) from error

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(of_row(*row)) for row in rows]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]


def numbers(reward, score, example: Example) -> np.ndarray:
    """A score as float32, a scalar or a list.

    Raises:
        TokenRLError: it is no number and no list of numbers, or not finite.
    """
    try:
        values = np.asarray(score)
    except ValueError:  # nested lists of unequal lengths
        values = np.asarray(None)
    if values.size and values.dtype.kind not in "biuf":
        raise TokenRLError(
            f"Reward {reward!r} returned {score!r} for {name(example)}; "
            "expected a number, or a list with one per chosen token."
        )
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise TokenRLError(
            f"Reward {reward!r} returned {score!r} for {name(example)}; "
            "every number must be finite in float32."
        )
    return values


def placed(
    reward, values, examples: Sequence[Example], rollout: Rollout
) -> np.ndarray:
    """`values` `[B, T]` as float32 with 0 in masked slots.

    Raises:
        TokenRLError: another shape, no numbers, or one that is not finite.
    """
    mask = np.asarray(rollout.mask, bool)
    values = np.asarray(values)
    if values.shape != mask.shape or values.dtype.kind not in "biuf":
        raise TokenRLError(
            f"Reward {reward!r} returned {values.dtype} of shape "
            f"{values.shape}; expected float32 of shape {mask.shape}, one "
            "number per position."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        rewards = np.where(mask, values.astype(np.float32), np.float32(0))
    for row, position in np.argwhere(~np.isfinite(rewards)):
        raise TokenRLError(
            f"Reward {reward!r} is {rewards[row, position]} at position "
            f"{position} of {name(examples[row])}; every number must be "
            "finite in float32."
        )
    return rewards


def counted(reward, scores: Sequence, rows: int) -> Sequence:
    """Scores of a batch, one for each row.

    Raises:
        TokenRLError: there are fewer, or more.
    """
    if len(scores) != rows:
        raise TokenRLError(
            f"Reward {reward!r} returned {len(scores)} scores for {rows} "
            "answers; expected one for each."
        )
    return scores


def named(reward, call: Callable, *arguments):
    """`call(*arguments)`, whose errors name the reward.

    Raises:
        TokenRLError: whatever the call raises.
    """
    try:
        return call(*arguments)
    except TokenRLError:
        raise
    except Exception as error:
        raise TokenRLError(
            f"Reward {reward!r} raised {_story(error)}."
        ) from error


def checked(call: Callable) -> Callable:
    """A reward's `__call__`, whose errors and bad results name the reward."""

    @functools.wraps(call)
    def call_and_check(self, examples, responses, rollout) -> np.ndarray:
        values = named(self, call, self, examples, responses, rollout)
        return placed(self, values, examples, rollout)

    return call_and_check


def name(example: Example) -> str:
    """What an example is called in messages."""
    if example.key:
        return f'example "{example.key}"'
    return f'the example that starts "{example.prompt[:40]}"'


def _story(error: Exception) -> str:
    """An error in a few words, and the line that raised it."""
    text = f"{type(error).__name__}: {error}".strip().removesuffix(".")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{text} ({Path(frame.filename).name}:{frame.lineno})"
