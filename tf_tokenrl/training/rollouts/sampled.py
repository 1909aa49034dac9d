"""Answers that the policy being trained samples itself."""

from collections.abc import Iterator

import numpy as np

from tf_tokenrl.flow import Rollout
from tf_tokenrl.training.rollouts.prompts import Prompts
from tf_tokenrl.training.rollouts.sampler import Sampler
from tf_tokenrl.training.rollouts.source import RolloutSource


class Sampled(RolloutSource):
    """Samples from the policy as it is now, here and on every replica.

    Args:
        sampler: answers prompts.
        halves: yield a batch in two halves, so that the first can be rewarded
            while the second is sampled; a batch of one group is not divided.
    """

    def __init__(self, sampler: Sampler, halves: bool = False):
        self.sampler = sampler
        self.halves = halves

    def __call__(self, prompts: Prompts) -> Iterator[Rollout]:
        """See `RolloutSource`."""
        rows = len(prompts.prompt_ids)
        middle = self._middle(rows, prompts.group) if self.halves else 0
        for part in (slice(0, middle), slice(middle, rows)):
            if part.stop > part.start:
                rollout = self.sampler(
                    prompts.prompt_ids,
                    prompts.prompt_mask,
                    prompts.step,
                    prompts.sampling,
                    prompts.prefix,
                    part,
                )
                version = np.full(len(rollout.mask), prompts.version, np.int32)
                yield rollout._replace(version=version)

    def _middle(self, rows: int, group: int) -> int:
        """Where to divide: each half has whole groups on every replica."""
        unit = group * self.sampler.strategy.num_replicas_in_sync
        return rows // unit // 2 * unit
