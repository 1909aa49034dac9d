"""MIXER: the reference begins each answer, the policy ends it."""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_tokenrl.algorithms.base import Algorithm, Guided
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Tensor
from tf_tokenrl.ops.masking import masked_sum


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixer(Guided):
    """Hands the last k tokens of a reference to another algorithm; k grows.

        loss = (sum over given tokens of -log p(token)
                + sum over chosen tokens of the algorithm's loss)
               / (given tokens + chosen tokens)
        k    = 0 in the first `supervised_steps` steps, then
               grow_by * (1 + (step - supervised_steps) // grow_every)

    A reference of n tokens, its stop token included, gives the first n - k;
    the policy writes on from there until it stops by itself. Once k has
    reached the longest reference this is the other algorithm alone.

    Attributes:
        algorithm: what learns from rewards, such as "actor_critic".
        supervised_steps: steps of imitation alone.
        grow_every: steps between two k.
        grow_by: how many tokens more each time.

    Source: Ranzato et al. (2016), "Sequence Level Training with Recurrent
    Neural Networks", section 3.2.2 and algorithm 1.

    Note:
        k counts back from each reference's own end; the paper counts from
        the end of a fixed length. An algorithm with a normalization of its
        own keeps it, in proportion to the tokens chosen.
    """

    algorithm: str | Algorithm = "reinforce"
    supervised_steps: int = 0
    grow_every: int = 10
    grow_by: int = 2

    def __post_init__(self):
        super().__post_init__()
        self._check_counts("grow_every", "grow_by")
        if self.supervised_steps != 0:
            self._check_counts("supervised_steps")

    def prefix_lengths(
        self, lengths: np.ndarray, step: int
    ) -> np.ndarray | None:
        """See `Algorithm.prefix_lengths`."""
        return np.maximum(lengths - self._handed_over(step), 0)

    def settings(self, step: int) -> dict[str, float]:
        """See `Algorithm.settings`; k is logged as `handed_over`."""
        handed_over = float(self._handed_over(step))
        return super().settings(step) | {"handed_over": handed_over}

    def loss_weights(
        self, batch: Batch, longest: int
    ) -> tuple[Tensor, Tensor | None]:
        """See `Algorithm.loss_weights`."""
        chosen, _ = self.inner.loss_weights(batch, longest)
        taught = self._taught(batch, longest)
        share = self._chosen_share(batch)
        return share * chosen, (1.0 - share) * taught

    def _handed_over(self, step: int) -> int:
        if step < self.supervised_steps:
            return 0
        grown = (step - self.supervised_steps) // self.grow_every
        return self.grow_by * (1 + grown)

    def _chosen_share(self, batch: Batch) -> Tensor:
        if batch.teacher is None:
            raise TokenRLError("Mixer needs reference answers in the batch.")
        masks = batch.rollout.mask, batch.teacher.mask
        chosen, taught = (masked_sum(tf.ones_like(m), m) for m in masks)
        return tf.math.divide_no_nan(chosen, chosen + taught)
