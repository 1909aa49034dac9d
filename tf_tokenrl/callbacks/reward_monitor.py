"""Notice that a policy learns to please its reward and nothing else."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_tokenrl import evaluation
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards import Reward

_PREFIX = "validation/"
_LONGER, _REPEATED, _NARROWER = 2.0, 0.2, 0.5


class RewardMonitor(keras.callbacks.Callback):
    """Measures held-out answers by what is not optimised, and compares.

    After the first step and every `every` steps the policy answers the
    examples greedily, and these join the logs:

        validation/NAME        each metric, mean over the examples
        validation/length      chosen tokens per answer
        validation/repetition  share of trigrams of tokens that occurred
                               before in the same answer
        validation/distinct_1  different tokens / tokens, of all answers
        validation/distinct_2  the same of pairs of tokens

    It warns, once until it gets better, when since the first measurement

    * a metric fell while the reward of training rose: the 95% interval of
      the examples' differences lies below 0 (percentile bootstrap),
    * answers became more than twice as long, or less than half,
    * repetition rose by more than 0.2,
    * distinct_2 fell below half of what it was.

    Args:
        examples: held out from training.
        metrics: by name, what answers should be good at and are not rewarded
            for; may be empty.
        every: steps between two measurements.
        stop: end the run when a metric has been falling at two measurements
            in a row.

    Raises:
        TokenRLError: no examples, or `every` is below 1.

    Source: distinct-n is of Li et al. (2016), "A Diversity-Promoting
    Objective Function for Neural Conversation Models".
    """

    def __init__(
        self,
        examples: Sequence[Example],
        metrics: Mapping[str, Reward],
        every: int = 10,
        stop: bool = False,
    ):
        super().__init__()
        if not examples or every < 1:
            raise TokenRLError(
                "RewardMonitor takes at least one example and measures every "
                f"1 or more steps, not {len(examples)} and every={every}."
            )
        self.examples = list(examples)
        self.metrics = dict(metrics)
        self.every = every
        self.stop = stop
        self.restore(
            {"first": {}, "rewards": [], "start": None, "warned": [], "bad": 0}
        )

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; plain JSON."""
        return {
            "first": dict(self._first),
            "rewards": list(self._rewards),
            "start": self._start,
            "warned": sorted(self._warned),
            "bad": self._bad,
        }

    def restore(self, state: dict[str, Any]):
        """Take up what `state` gave."""
        self._first: dict[str, Any] = dict(state["first"])
        self._rewards: list[float] = list(state["rewards"])
        self._start: float | None = state["start"]
        self._warned: set[str] = set(state["warned"])
        self._bad: int = state["bad"]

    def on_train_batch_end(self, batch, logs=None):
        if logs is None:
            return
        self._rewards.append(float(logs.get("reward", 0.0)))
        if not self._first or (batch + 1) % self.every == 0:
            self._measure(batch + 1, logs)

    def _measure(self, step: int, logs: dict[str, float]):
        answers = evaluation.answer(self.model, self.examples)
        scores = {
            name: evaluation.per_example(answers, metric)
            for name, metric in self.metrics.items()
        }
        means = {name: float(np.mean(v)) for name, v in scores.items()}
        means |= shape_of(answers.responses)
        logs |= {_PREFIX + name: value for name, value in means.items()}
        reward = float(np.mean(self._rewards))
        self._rewards = []
        if not self._first:
            plain = {name: v.tolist() for name, v in scores.items()}
            self._first = {"scores": plain, "means": means}
            self._start = reward
            return
        fallen = self._fallen(scores, reward)
        self._warn(step, fallen | self._drifted(means))
        self._bad = self._bad + 1 if fallen else 0
        if self.stop and self._bad > 1:
            self.model.stop_training = True
            print(
                f"Step {step}: stopped, for {', '.join(fallen)} fell again.",
                file=sys.stderr,
            )

    def _fallen(self, scores, reward: float) -> dict[str, str]:
        """The metrics that fell for sure while the reward rose."""
        if self._start is None or reward <= self._start:
            return {}
        fallen = {}
        for name, now in scores.items():
            change = now - np.asarray(self._first["scores"][name])
            found = evaluation.estimate(change)
            if found.high < 0:
                fallen[name] = (
                    f"the reward rose from {self._start:.3g} to {reward:.3g} "
                    f"while {name}, which is not rewarded, changed by "
                    f"{found.mean:.3g} [{found.low:.3g}, {found.high:.3g}]"
                )
        return fallen

    def _drifted(self, means: Mapping[str, float]) -> dict[str, str]:
        """What became strange about the shape of the answers."""
        first = self._first["means"]
        low, high = sorted((first["length"], means["length"]))
        strange = {
            "length": high > _LONGER * low,
            "repetition": means["repetition"] > first["repetition"] + _REPEATED,
            "distinct_2": means["distinct_2"] < _NARROWER * first["distinct_2"],
        }
        return {
            name: f"{name} went from {first[name]:.3g} to {means[name]:.3g}"
            for name, is_strange in strange.items()
            if is_strange
        }

    def _warn(self, step: int, found: Mapping[str, str]):
        """One line for what was not warned of already."""
        news = [
            text for name, text in found.items() if name not in self._warned
        ]
        self._warned = set(found)
        if news:
            print(
                f"Step {step}: on held-out examples {'; '.join(news)}: read "
                "some answers, the policy may be exploiting its reward.",
                file=sys.stderr,
            )


def shape_of(responses: Sequence[Response]) -> dict[str, float]:
    """Length, repetition and distinct-n of answers, see `RewardMonitor`."""
    tokens = [response.token_ids for response in responses]
    total = [_ngrams(ids, 3) for ids in tokens]
    again = sum(len(found) - len(set(found)) for found in total)
    shape = {
        "length": float(np.mean([len(ids) for ids in tokens])),
        "repetition": again / max(sum(map(len, total)), 1),
    }
    for size in (1, 2):
        found = [n for ids in tokens for n in _ngrams(ids, size)]
        shape[f"distinct_{size}"] = len(set(found)) / max(len(found), 1)
    return shape


def _ngrams(ids: Sequence[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)]
