"""What answers earn: each reward computed once, weighted in one place."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tf_tokenrl.flow import Example, Response, Rollout, below_each_other
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.base import weighted_sum
from tf_tokenrl.rewards.shared.placement import on_last_token
from tf_tokenrl.training.rollouts.prompts import Prompts
from tf_tokenrl.training.rollouts.reward_processes import RewardProcesses

Terms = dict[str, np.ndarray]


class Scored(NamedTuple):
    """A batch of answers and what they earned.

    Attributes:
        rollout: the parts of the batch, put together.
        rewards: float32 `[B, T]`, 0 where nothing was chosen.
        terms: the same for each term of the reward, before its weight.
        responses: the answers as text.
    """

    rollout: Rollout
    rewards: np.ndarray
    terms: Terms
    responses: list[Response]


class Scorer:
    """Computes the terms of a reward, and adds them up.

        rewards = sum over terms of weight * term

    Args:
        reward: what answers earn.
        decode: turns a rollout into text, as `Policy.decode` does.
        overlap: compute rewards that look at one row at a time while the
            next part of a batch is still awaited.
        causal: give what a reward that looks ahead pays for an answer to the
            answer's last token.
        processes: how many compute rewards in Python; see `RewardProcesses`,
            as for the next.
        seconds: how long they may be silent.

    Attributes:
        seconds: spent so far after the last answers had come; may be reset.

    As a context manager it keeps its processes from one call to the next.
    """

    def __init__(
        self,
        reward: Reward,
        decode: Callable[[Rollout], list[Response]],
        overlap: bool = False,
        causal: bool = True,
        processes: int = 0,
        seconds: float = 0.0,
    ):
        self.reward = reward
        self.decode = decode
        self.overlap = overlap
        self.causal = causal
        self.processes = processes
        self.patience = seconds
        self.seconds = 0.0
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "Scorer":
        if self.processes:
            started = RewardProcesses(self.processes, self.patience)
            self._open.enter_context(started)
            self._open.enter_context(self.reward.scored_by(started))
        return self

    def __exit__(self, *error) -> None:
        self._open.close()

    def __call__(self, prompts: Prompts, answers: Iterable[Rollout]) -> Scored:
        """Take answers as they come, and score them.

        Args:
            prompts: what was asked.
            answers: rollouts of neighbouring rows, in order.

        Raises:
            TokenRLError: a reward failed, see `Reward.__call__`.
        """
        with self._thread() as thread:
            parts, begun = self._begin(prompts, answers, thread)
            started = time.perf_counter()
            early = _joined([terms.result() for terms in begun])
        rollout = Rollout.joined(parts)
        seen = prompts.rewarded(rollout)
        responses = self.decode(seen)
        terms, weighted = {}, []
        for name, weight, reward in self.reward.terms():
            if name in early:
                values = early[name]
            else:
                values = _of_chosen(
                    reward, prompts.examples, responses, seen, rollout.mask
                )
            if self.causal and reward.looks_ahead:
                values = on_last_token(values.sum(-1), rollout.mask)
            terms[name] = np.where(rollout.mask, values, np.float32(0))
            weighted.append((weight, terms[name]))
        rewards = weighted_sum(weighted, rollout.mask.shape)
        self.seconds += time.perf_counter() - started
        return Scored(rollout, rewards, terms, responses)

    def _thread(self):
        """Where rewards are computed beside sampling; None for nowhere.

        Without overlap there is no thread, for Ctrl-C would wait for it.
        """
        if self.overlap:
            return ThreadPoolExecutor(1)
        return contextlib.nullcontext()

    def _begin(self, prompts: Prompts, answers: Iterable[Rollout], thread):
        """All parts, and the futures of what is computed of each meanwhile."""
        parts: list[Rollout] = []
        begun: list[Future] = []
        first = 0
        for part in answers:
            if thread is not None:
                begun.append(thread.submit(self._by_row, prompts, part, first))
            parts.append(part)
            first += len(part.mask)
        return parts, begun

    def _by_row(self, prompts: Prompts, part: Rollout, first: int) -> Terms:
        """The terms of some rows that know nothing of the others."""
        seen = prompts.rewarded(part, first)
        examples = prompts.examples[first : first + len(part.mask)]
        rows = examples, self.decode(seen), seen
        terms = self.reward.terms()
        return {name: term(*rows) for name, _, term in terms if term.by_row}


def _of_chosen(
    reward: Reward,
    examples: Sequence[Example],
    responses: Sequence[Response],
    seen: Rollout,
    chosen: np.ndarray,
) -> np.ndarray:
    """What rows earn of which the policy chose a token; 0 elsewhere.

    A row that was dictated to its end is not an answer, and must not enter
    the mean of a reward that is normalised.
    """
    alive = chosen.any(-1)
    if alive.all():
        return reward(examples, responses, seen)
    values = np.zeros(seen.mask.shape, np.float32)
    if alive.any():
        rows = np.flatnonzero(alive).tolist()
        values[rows] = reward(
            [examples[row] for row in rows],
            [responses[row] for row in rows],
            seen.rows(rows),
        )
    return values


def _joined(parts: list[Terms]) -> Terms:
    if not parts:
        return {}
    return {
        name: below_each_other([part[name] for part in parts])
        for name in parts[0]
    }
