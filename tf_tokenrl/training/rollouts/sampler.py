"""Sampling a global batch of answers, each replica its share of the rows."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_tokenrl.decoding.prefix import Prefix
from tf_tokenrl.decoding.sampling import row_seeds
from tf_tokenrl.flow import Rollout, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.runtime.tracing import Graph, compiling, in_numpy


class Sampler:
    """Samples answers under the current strategy.

    The noise of a row is a function of the seed, the step and the row's
    number in the global batch: two replicas never share noise, and sample
    what one would.

    Args:
        policy: answers.
        reference: scores the answers too, None where nobody does.
        seed: of the noise.
        jit: let XLA compile how the reference scores, anew for each size.
    """

    def __init__(
        self,
        policy: Policy,
        reference: Policy | None,
        seed: int,
        jit: bool = False,
    ):
        self.policy = policy
        self.reference = reference
        self.seed = seed
        self.strategy = tf.distribute.get_strategy()
        self._jit = jit
        self._run = Graph(self._sample)
        if jit and reference is not None:
            reference.packs = False  # XLA knows no ragged rows

    def __call__(
        self,
        prompt_ids: np.ndarray,
        prompt_mask: np.ndarray,
        step: int,
        settings: Mapping[str, Tensor] | None = None,
        prefix: Prefix | None = None,
        part: slice | None = None,
    ) -> Rollout:
        """Answer prompts `[B, P]`; NumPy arrays in and out.

        The answers are cut to the longest of them.

        Args:
            prompt_ids: int32 `[B, P]`, padded on the right.
            prompt_mask: bool `[B, P]`.
            step: number of the step.
            settings: float32 scalars `temperature`, by default the policy's
                own, where 0 answers greedily, and `uniform`, see `Sampling`.
            prefix: how each answer begins, if that is not the policy's
                choice.
            part: answer these rows alone, by the noise that they have in the
                whole batch.
        """
        first = np.int64(step) * len(prompt_ids)
        if part is not None:
            first += part.start
            prompt_ids, prompt_mask = prompt_ids[part], prompt_mask[part]
            prefix = prefix and tf.nest.map_structure(lambda x: x[part], prefix)
        settings = dict(settings or {})
        settings.setdefault("temperature", np.float32(self.policy.temperature))
        slots = self._slots(len(prompt_ids))
        asked = prompt_ids, prompt_mask, np.asarray(first)
        with compiling("scoring"):
            rollout = in_numpy(self._run(*asked, settings, prefix, slots))
        used = rollout.mask
        if prefix is not None:
            places = np.arange(used.shape[1])[None]
            used = used | (places < prefix.counts[:, None])
        return rollout.columns(max(int(used.any(axis=0).sum()), 1))

    def _slots(self, rows: int) -> np.ndarray | None:
        """How many answers a replica has under way; None is all of them."""
        slots = self.policy.slots
        share = rows // self.strategy.num_replicas_in_sync
        return np.asarray(slots, np.int32) if slots and share > slots else None

    def _sample(self, ids, mask, first, settings, prefix, slots) -> Rollout:
        def replica():
            rows = replica_rows(tf.shape(ids)[0])
            seeds = row_seeds(
                self.seed, first + tf.cast(rows[0], tf.int64), tf.size(rows)
            )
            prompts, present, begun = rows_of((ids, mask, prefix), rows)
            sampling = self.policy.sampling._replace(**settings)
            more = {} if slots is None else {"slots": slots}
            if begun is None:
                rollout = self.policy.act(
                    prompts, present, seeds, sampling, **more
                )
            else:
                rollout = self.policy.act_after(
                    prompts, present, begun, seeds, sampling, **more
                )
            answers = {
                "actions": rollout.actions,
                "mask": rollout.mask,
                "log_probs": rollout.log_probs,
                "values": rollout.values,
            }
            if self.reference is not None:
                answers["reference_log_probs"] = self._judged(
                    self.reference, rollout, settings
                )
            return {name: join_replicas(x) for name, x in answers.items()}

        here = self.strategy.experimental_local_results
        answers = self.strategy.run(replica)
        answers = {name: here(x)[0] for name, x in answers.items()}
        return Rollout(ids, mask, **answers)

    def _judged(self, reference: Policy, rollout: Rollout, settings) -> Tensor:
        """The reference's log-probs; columns that no answer uses cost nothing.

        XLA would compile each number of columns anew, so it gets all of them.
        """
        columns = longest = tf.shape(rollout.mask)[1]
        if not self._jit:
            used = tf.reduce_any(rollout.mask, axis=0)
            longest = 1 + tf.reduce_max(tf.where(used, tf.range(columns), 0))
        rollout = rollout.columns(longest)
        score = reference.score
        if self._jit:
            score = tf.function(score, jit_compile=True)
        scored = score(rollout, **_scoring(settings))
        return tf.pad(scored.log_probs, [[0, 0], [0, columns - longest]])


def _scoring(settings: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """How sampled tokens are scored; greedy ones at temperature 1."""
    temperature = settings["temperature"]
    temperature = tf.where(temperature > 0.0, temperature, 1.0)
    return {**settings, "temperature": temperature}


def rows_of(structure, rows):
    """Some rows of every tensor that is there."""
    return tf.nest.map_structure(
        lambda x: None if x is None else tf.gather(x, rows), structure
    )


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
