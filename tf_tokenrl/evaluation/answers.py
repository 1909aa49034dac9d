"""How good are the answers? Means with bootstrap confidence intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_tokenrl.decoding.sampling import Sampling, row_seeds
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation import intervals
from tf_tokenrl.evaluation.intervals import Estimate, Measured
from tf_tokenrl.flow import Example, Response, Rollout
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.rewards import Reward
from tf_tokenrl.rewards.shared.pooled import Pooled
from tf_tokenrl.runtime.tracing import Graph, in_numpy

_SAMPLING: dict[str, Any] = {
    "temperature": np.float32,
    "top_k": np.int32,
    "top_p": np.float32,
    "max_new_tokens": np.int32,
}


class Answers(NamedTuple):
    """Responses to examples, and the rollout they were decoded from."""

    examples: list[Example]
    responses: list[Response]
    rollout: Rollout


def answer(
    policy: Policy,
    examples: Sequence[Example],
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
) -> Answers:
    """Answer every example, greedily unless a temperature is given.

    Rows of like length share a batch; the order of `examples` is kept.

    Raises:
        TokenRLError: there are no examples, or a prompt is too long.
    """
    if not examples:
        raise TokenRLError("There are no examples to answer.")
    ids, mask = policy.encode([example.prompt for example in examples])
    sampling = policy.sampling._replace(temperature=temperature)
    settings = {
        name: dtype(getattr(sampling, name))
        for name, dtype in _SAMPLING.items()
    }
    act = _act_function(policy)
    order = np.argsort(mask.sum(-1), kind="stable")
    parts = []
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        width = int(mask[rows].sum(-1).max())
        seeds = tf.gather(row_seeds(seed, 0, len(examples)), rows)
        prompts = ids[rows, :width], mask[rows, :width]
        parts.append(in_numpy(act(*prompts, seeds, settings)))
    rollout = Rollout.joined(parts).rows(np.argsort(order))
    rollout = rollout._replace(prompt_ids=ids, prompt_mask=mask)
    return Answers(list(examples), policy.decode(rollout), rollout)


def measure(
    answers: Answers, metrics: Mapping[str, Reward], seed: int = 0
) -> dict[str, Estimate]:
    """Each metric over the examples, with its interval.

    A metric that pools counts over answers (corpus BLEU) stands beside its
    mean as NAME_corpus, or in its place, see `Pooled.headline`.
    """
    return {
        name: intervals.estimate(measured, seed=seed)
        for name, measured in figures(answers, metrics).items()
    }


def figures(
    answers: Answers, metrics: Mapping[str, Reward]
) -> dict[str, Measured]:
    """What `measure` estimates, before its intervals, by name."""
    found = {}
    for name, metric in metrics.items():
        if not (isinstance(metric, Pooled) and metric.headline):
            found[name] = intervals.of_means(per_example(answers, metric))
        if isinstance(metric, Pooled):
            pairs = zip(answers.examples, answers.responses, strict=True)
            rows = np.array([metric.counts(*pair) for pair in pairs], float)
            title = name if metric.headline else f"{name}_corpus"
            found[title] = Measured(rows, metric.pooled)
    return found


def per_example(answers: Answers, metric: Reward) -> np.ndarray:
    """A metric of each answer, float32 `[B]`: its rewards summed."""
    return metric(*answers).sum(axis=-1)


def evaluate(
    policy: Policy,
    examples: Sequence[Example],
    metrics: Mapping[str, Reward],
    batch_size: int = 64,
) -> dict[str, Estimate]:
    """Answer greedily, then measure."""
    return measure(answer(policy, examples, batch_size=batch_size), metrics)


def estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """The mean of `values` `[N]` and its 95% interval."""
    return intervals.estimate(intervals.of_means(values), seed=seed)


def _act_function(policy: Policy):
    """`policy.act` traced once per policy, whatever the shapes."""
    if not hasattr(policy, "_traced_act"):
        policy._traced_act = Graph(
            lambda ids, mask, seeds, sampling: policy.act(
                ids, mask, seeds, Sampling(**sampling)
            )
        )
    return policy._traced_act
