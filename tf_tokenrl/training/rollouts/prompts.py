"""What is asked in a step, and a data set whose prompts are encoded once."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.flow import Example, Rollout
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training.rollouts.exploration import sampling
from tf_tokenrl.training.rollouts.imitation import check_references


@dataclasses.dataclass(frozen=True)
class EncodedExamples:
    """Examples with their prompts, and references to imitate, as token ids.

    Attributes:
        examples: N rows of data.
        prompt_ids: int32 `[N, P]`, padded on the right.
        prompt_mask: bool `[N, P]`.
        references: the preferred answers as if the policy had chosen them,
            None where nothing is imitated.
    """

    examples: Sequence[Example]
    prompt_ids: np.ndarray
    prompt_mask: np.ndarray
    references: Rollout | None = None

    def __len__(self) -> int:
        return len(self.examples)

    @classmethod
    def of(
        cls, policy: Policy, examples: Sequence[Example], imitates: bool
    ) -> "EncodedExamples":
        """Encode examples, their references too where they are imitated.

        Raises:
            TokenRLError: a prompt is too long; or, where references are
                imitated, there is none or it is too long.
        """
        prompts = [example.prompt for example in examples]
        if not imitates:
            return cls(examples, *policy.encode(prompts))
        check_references(examples)
        answers = [example.reference for example in examples]
        pairs = policy.encode_pairs(prompts, answers)
        return cls(examples, pairs.prompt_ids, pairs.prompt_mask, pairs)

    def rows(self, numbers: Sequence[int] | np.ndarray) -> "EncodedExamples":
        """Some of the rows, cut to the longest prompt among them."""
        rows = np.asarray(numbers)
        width = int(self.prompt_mask[rows].sum(-1).max())
        ids, mask = (
            x[rows, :width] for x in (self.prompt_ids, self.prompt_mask)
        )
        references = self.references
        if references is not None:
            references = references.rows(rows)
            longest = int(references.mask.sum(-1).max())
            references = references.columns(longest)
            references = references._replace(prompt_ids=ids, prompt_mask=mask)
        examples = [self.examples[row] for row in rows.tolist()]
        return EncodedExamples(examples, ids, mask, references)


class Prompts(NamedTuple):
    """What a step asks; B rows, of which groups of neighbours belong together.

    Attributes:
        examples: B rows of data.
        prompt_ids: int32 `[B, P]`, padded on the right.
        prompt_mask: bool `[B, P]`.
        step: number of the step; with a row's number it decides the noise.
        settings: float32 scalars by name, the options that follow a schedule
            at this step. Of these `temperature`, where 0 answers greedily, and
            `uniform` decide how answers are drawn, see `Exploration`.
        teacher: the reference answers, the mask True on the tokens to be
            imitated; None where nothing is imitated.
        prefix: how each answer begins, None where the policy writes it alone.
        group: rows that must stay together.
        version: how many updates the weights have seen that answer now.
    """

    examples: Sequence[Example]
    prompt_ids: np.ndarray
    prompt_mask: np.ndarray
    step: int = 0
    settings: Mapping[str, np.float32] = {}
    teacher: Rollout | None = None
    prefix: Prefix | None = None
    group: int = 1
    version: int = 0

    @property
    def sampling(self) -> dict[str, np.float32]:
        """The settings that decide how answers are drawn."""
        return sampling(self.settings)

    def greedily(self) -> "Prompts":
        """The same prompts, for the likeliest answers."""
        return self._replace(settings={"temperature": np.float32(0)})

    def rewarded(self, rollout: Rollout, first: int = 0) -> Rollout:
        """Answers as rewards see them: a prefix counts as chosen.

        Args:
            rollout: the answers to some neighbouring rows.
            first: number of the first of these rows.
        """
        if self.prefix is None:
            return rollout
        rows = slice(first, first + len(rollout.mask))
        places = np.arange(rollout.mask.shape[1])[None]
        begun = places < self.prefix.counts[rows, None]
        return rollout._replace(mask=rollout.mask | begun)
