"""Rollouts out of the feedback store: answers that a server has given."""

import collections
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.feedback.records import Answer
from tf_tokenrl.feedback.signals import Scored
from tf_tokenrl.flow import Rollout
from tf_tokenrl.policies.base import Policy


class Logged(NamedTuple):
    """Answers as a rollout, and why others are not among them.

    Attributes:
        rollout: `log_probs` are those at answer time, `values` are 0; None
            where no answer is left.
        rewards: float32 `[B, T]`.
        rows: which of the answers given the rows are.
        dropped: reason -> how many answers.
    """

    rollout: Rollout | None
    rewards: np.ndarray
    rows: tuple[int, ...]
    dropped: dict[str, int]


def logged(
    policy: Policy, scored: Sequence[Scored], oldest_version: int = 0
) -> Logged:
    """Stored answers as `policy` would have sampled them.

    The ids are those of the store: nothing is tokenised again, and nothing
    that was not sampled is added, so an answer without a stop token stays
    without. What has no density of the kind that `policy.score` computes is
    left out and counted: greedy answers, other temperatures, answers cut by
    top-k or top-p, versions that are too old.

    Args:
        policy: its temperature and its limits count.
        scored: answers with a reward for each id.
        oldest_version: of the model; older answers are left out.
    """
    dropped: collections.Counter[str] = collections.Counter()
    rows = []
    for row, (answer, _) in enumerate(scored):
        reason = _reason(policy, answer, oldest_version)
        if reason:
            dropped[reason] += 1
        else:
            rows.append(row)
    if not rows:
        return Logged(None, np.zeros([0, 0], np.float32), (), dict(dropped))
    kept = [scored[row] for row in rows]
    prompt_ids, prompt_mask = policy.encode([a.prompt for a, _ in kept])
    counts = np.array([len(answer.token_ids) for answer, _ in kept])
    mask = np.arange(counts.max())[None] < counts[:, None]

    def table(columns: Sequence[Sequence[float]], dtype: type) -> np.ndarray:
        made: np.ndarray = np.zeros(mask.shape, dtype)
        made[mask] = np.concatenate([np.asarray(c, dtype) for c in columns])
        return made

    rollout = Rollout(
        prompt_ids,
        prompt_mask,
        table([answer.token_ids for answer, _ in kept], np.int32),
        mask,
        table([answer.log_probs for answer, _ in kept], np.float32),
        np.zeros(mask.shape, np.float32),
    )
    rewards = table([rewards for _, rewards in kept], np.float32)
    return Logged(rollout, rewards, tuple(rows), dict(dropped))


def ends_of(policy: Policy) -> Callable[[Answer], list[int]]:
    """How many characters of its text an answer has after each token."""

    def ends(answer: Answer) -> list[int]:
        ids = np.asarray([answer.token_ids], np.int32)
        (response,) = policy.text.decode(ids, np.ones(ids.shape, bool))
        if not response.text.startswith(answer.text):
            raise TokenRLError(
                f'The ids of answer "{answer.key}" do not spell its text with '
                "this policy's tokenizer: take the policy that gave it."
            )
        return [min(end, len(answer.text)) for _, end in response.offsets]

    return ends


def _reason(policy: Policy, answer: Answer, oldest_version: int) -> str:
    """Why an answer cannot be weighted, "" where it can."""
    if answer.version < oldest_version:
        return "old version"
    if answer.temperature <= 0:
        return "greedy"
    if answer.top_k > 0 or answer.top_p < 1:
        return "top-k or top-p"
    if not np.isclose(answer.temperature, policy.temperature, rtol=1e-6):
        return "other temperature"
    if not answer.log_probs or not np.isfinite(answer.log_probs).all():
        return "no log-probs"
    if len(answer.token_ids) > policy.max_new_tokens:
        return "too long"
    return ""
