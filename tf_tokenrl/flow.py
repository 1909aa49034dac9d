"""The values that travel round the circle.

Every array is `[B, T]`: B texts, T positions. Position `t` holds the action
taken there and all that is known about it. `mask` is True exactly where the
policy chose the action: the stop token is chosen and counts; prompt, padding
and forced tokens do not. What stands in a masked slot means nothing.
Log-probabilities and entropies are in nats.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

Tensor = Any  # a tf.Tensor in graphs, a NumPy array between them


class Stateful(Protocol):
    """What lives from step to step: rewards, schedules, KL, callbacks, sources.

    `Trainer.state` gathers theirs, and a checkpoint keeps it.
    """

    def state(self) -> dict[str, Any]:
        """What was learned on the way, fit for JSON; {} for nothing."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        ...


class Example(NamedTuple):
    """One row of data: what is asked and what good answers look like.

    Attributes:
        prompt: the text the policy reads.
        references: zero or more good answers, the preferred one first.
        key: a name that is unique within the data set, or "".
        fields: the other columns of the row, for rewards that need them.
        group: what the row belongs to with others, a dialogue, a document, a
            package; "" where it stands alone.
    """

    prompt: str
    references: tuple[str, ...] = ()
    key: str = ""
    fields: Mapping[str, Any] = {}
    group: str = ""

    @property
    def reference(self) -> str:
        """The preferred answer, "" where there is none."""
        return self.references[0] if self.references else ""


class Response(NamedTuple):
    """What the policy answered to one example, as rewards see it.

    Attributes:
        text: the decoded answer, without the stop token.
        token_ids: the chosen ids as sampled, the stop token included.
        offsets: for each chosen token the half-open span `(start, end)` of
            characters of `text` that it added; a stop token adds none.
            `text[:end]` is the answer up to and including that token.
        stopped: True where a stop token ended the answer, False where the
            limit on new tokens did.
    """

    text: str
    token_ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    stopped: bool


class Rollout(NamedTuple):
    """Sampled actions and what the policy knew when it took them.

    Attributes:
        prompt_ids: int32 `[B, P]`, padded on the right.
        prompt_mask: bool `[B, P]`, True on the prompt's own tokens.
        actions: int32 `[B, T]`, the chosen ids.
        mask: bool `[B, T]`, True where an action was chosen.
        log_probs: float32 `[B, T]`, log-probability (nats) of each action
            under the very distribution it was drawn from.
        values: float32 `[B, T]`, the critic's value of the state in which
            the action was chosen, in units of the return.
        reference_log_probs: float32 `[B, T]`, the same actions under the
            frozen reference, or None where there is no reference.
        version: int32 `[B]`, how many updates the weights that wrote each
            answer had seen; None where nobody counts.
    """

    prompt_ids: Tensor
    prompt_mask: Tensor
    actions: Tensor
    mask: Tensor
    log_probs: Tensor
    values: Tensor
    reference_log_probs: Tensor | None = None
    version: Tensor | None = None

    def rows(self, rows) -> "Rollout":
        """Some rows of NumPy arrays, named by numbers or a slice."""
        return Rollout(
            **{
                name: None if x is None else np.asarray(x)[rows]
                for name, x in self._asdict().items()
            }
        )

    def columns(self, count) -> "Rollout":
        """The same answers cut to their first `count` tokens."""
        per_token = {
            name: getattr(self, name)[:, :count]
            for name in _PER_TOKEN
            if getattr(self, name) is not None
        }
        return self._replace(**per_token)

    @classmethod
    def joined(cls, parts: "Sequence[Rollout]") -> "Rollout":
        """Rollouts of NumPy arrays one below the other, the short padded."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            **{
                name: None
                if getattr(parts[0], name) is None
                else below_each_other([getattr(p, name) for p in parts])
                for name in cls._fields
            }
        )


_PER_TOKEN = ("actions", "mask", "log_probs", "values", "reference_log_probs")


def below_each_other(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """`[b, T']` arrays as one `[B, T]`, zeros after those with fewer columns.

    Arrays `[b]`, one number a row, are joined as they are.
    """
    width = max(array.shape[-1] for array in arrays)
    return np.concatenate(
        [
            np.pad(array, [(0, 0), (0, width - array.shape[1])])
            if array.ndim > 1
            else array
            for array in arrays
        ]
    )


class Scores(NamedTuple):
    """What a policy says, with gradients, about actions already taken.

    Attributes:
        log_probs: float32 `[B, T]`, nats.
        values: float32 `[B, T]`, in units of the return.
        entropy: float32 `[B, T]`, of the distribution at each position, nats.
    """

    log_probs: Tensor
    values: Tensor
    entropy: Tensor


class Targets(NamedTuple):
    """What an algorithm wants of each action; constants to the gradient.

    Attributes:
        advantages: float32 `[B, T]`.
        returns: float32 `[B, T]`, what the critic should have said.
    """

    advantages: Tensor
    returns: Tensor


class Context(NamedTuple):
    """What a step knows besides its answers, for algorithms that ask.

    Attributes:
        greedy_mask: bool `[B, T']`, True where the greedy answers to the same
            prompts have a token; None where the algorithm needs no greedy
            answers.
        greedy_rewards: float32 `[B, T']`, what these tokens earned.
        memory: the numbers that the algorithm keeps from step to step, None
            where it keeps none.
    """

    greedy_mask: Tensor | None = None
    greedy_rewards: Tensor | None = None
    memory: dict[str, Tensor] | None = None


NO_CONTEXT = Context()


class Batch(NamedTuple):
    """One collected batch, ready to be learned from.

    Attributes:
        rollout: what was sampled.
        rewards: float32 `[B, T]`, what it earned.
        targets: what the algorithm makes of that.
        teacher: the reference answers to the same prompts, its mask True on
            the tokens to be imitated; None where nothing is imitated.
        settings: float32 scalars by name: the options that follow a schedule,
            at this step.
    """

    rollout: Rollout
    rewards: Tensor
    targets: Targets
    teacher: Rollout | None = None
    settings: dict[str, Tensor] | None = None
