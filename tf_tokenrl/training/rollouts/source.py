"""Where a trainer's answers come from."""

import abc
from collections.abc import Iterator

from tf_tokenrl.flow import Rollout
from tf_tokenrl.training.rollouts.prompts import Prompts


class RolloutSource(abc.ABC):
    """Answers the prompts of a step, all at once or part by part.

    A trainer takes the parts as they come, so that a source may sample, fetch
    or wait for the next part while the last one is being rewarded. A source
    that remembers anything from step to step overrides `state` and `restore`.

        class Echo(RolloutSource):
            def __call__(self, prompts):
                yield policy.encode_pairs(asked, answers)
    """

    @abc.abstractmethod
    def __call__(self, prompts: Prompts) -> Iterator[Rollout]:
        """Yield answers to neighbouring rows, in the order of the prompts.

        Args:
            prompts: what is asked.

        Returns:
            Rollouts of NumPy arrays, at least one; together they have a row
            for each prompt. Groups of `prompts.group` rows are not divided.
            A prefix stands in `actions` with the mask False.

        Raises:
            TokenRLError: there are no answers to be had.
        """

    def state(self) -> dict:
        """What the source remembers, fit for JSON; saved in checkpoints."""
        return {}

    def restore(self, state: dict) -> None:  # noqa: B027 (nothing to restore)
        """Take up what `state` gave."""
