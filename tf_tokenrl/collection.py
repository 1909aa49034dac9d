"""Sampling a global batch of answers, each replica its share of the rows."""

import numpy as np
import tensorflow as tf

from tf_tokenrl.flow import Rollout
from tf_tokenrl.models.policy import Policy
from tf_tokenrl.models.sampling import row_seeds


class Collector:
    """Samples answers under the current strategy.

    The noise of a row is a function of the seed, the step and the row's
    number in the global batch: two replicas never share noise, and sample
    what one would.
    """

    def __init__(self, policy: Policy, reference: Policy | None, seed: int):
        self.policy = policy
        self.reference = reference
        self.seed = seed
        self.strategy = tf.distribute.get_strategy()
        self._run = tf.function(
            self._collect,
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None, None], tf.bool),
                tf.TensorSpec([], tf.int64),
            ],
        )

    def __call__(
        self, prompt_ids: np.ndarray, prompt_mask: np.ndarray, step: int
    ) -> Rollout:
        """Answer prompts `[B, P]`; NumPy arrays in and out.

        The answers are cut to the longest of them.
        """
        first = np.int64(step) * len(prompt_ids)
        rollout = self._run(prompt_ids, prompt_mask, first)
        longest = max(int(rollout.mask.numpy().any(axis=0).sum()), 1)
        answers = [
            None if x is None else x.numpy()[:, :longest] for x in rollout[2:]
        ]
        return Rollout(prompt_ids, prompt_mask, *answers)

    def _collect(self, prompt_ids, prompt_mask, first) -> Rollout:
        def replica():
            rows = replica_rows(tf.shape(prompt_ids)[0])
            seeds = row_seeds(
                self.seed, first + tf.cast(rows[0], tf.int64), tf.size(rows)
            )
            rollout = self.policy.act(
                tf.gather(prompt_ids, rows),
                tf.gather(prompt_mask, rows),
                seeds,
            )
            answers = list(rollout[2:6])
            if self.reference is not None:
                answers.append(self.reference.score(rollout).log_probs)
            return [join_replicas(x) for x in answers]

        answers = self.strategy.run(replica)
        answers = [
            self.strategy.experimental_local_results(x)[0] for x in answers
        ]
        return Rollout(prompt_ids, prompt_mask, *answers)


def replica_rows(rows: tf.Tensor) -> tf.Tensor:
    """The numbers of the rows that this replica takes of a global batch."""
    context = tf.distribute.get_replica_context()
    share = rows // context.num_replicas_in_sync
    first = share * tf.cast(context.replica_id_in_sync_group, tf.int32)
    return tf.range(first, first + share)


def join_replicas(x: tf.Tensor) -> tf.Tensor:
    """The rows of all replicas, in order."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return x
    if x.dtype == tf.bool:
        return join_replicas(tf.cast(x, tf.int32)) > 0
    return context.all_gather(x, axis=0)
