"""Sampling a global batch of answers, each replica its share of the rows."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_tokenrl.decoding.prefix import Given
from tf_tokenrl.decoding.sampling import row_seeds
from tf_tokenrl.flow import Rollout, Tensor
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.runtime.tracing import Graph, compiling


class Collector:
    """Samples answers under the current strategy.

    The noise of a row is a function of the seed, the step and the row's
    number in the global batch: two replicas never share noise, and sample
    what one would.
    """

    def __init__(self, policy: Policy, reference: Policy | None, seed: int):
        self.policy = policy
        self.reference = reference
        self._jit = False
        self.seed = seed
        self.strategy = tf.distribute.get_strategy()
        self._run = Graph(self._collect)

    def compile(self) -> None:
        """Let XLA compile how the reference scores, anew for each size."""
        self._jit = True
        if self.reference is not None:
            self.reference.packs = False

    def __call__(
        self,
        prompt_ids: np.ndarray,
        prompt_mask: np.ndarray,
        step: int,
        settings: Mapping[str, Tensor] | None = None,
        given: Given | None = None,
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
            given: how each answer begins, if that is not the policy's choice.
            part: answer these rows alone, by the noise that they have in the
                whole batch.
        """
        first = np.int64(step) * len(prompt_ids)
        if part is not None:
            first += part.start
            prompt_ids, prompt_mask = prompt_ids[part], prompt_mask[part]
            given = given and Given(*(x[part] for x in given))
        settings = dict(settings or {})
        settings.setdefault("temperature", np.float32(self.policy.temperature))
        slots = self._slots(len(prompt_ids))
        asked = prompt_ids, prompt_mask, np.asarray(first)
        with compiling("scoring"):
            rollout = self._run(*asked, settings, given, slots)
        used = rollout.mask.numpy()
        if given is not None:
            places = np.arange(used.shape[1])[None]
            used = used | (places < given.counts[:, None])
        longest = max(int(used.any(axis=0).sum()), 1)
        answers = [
            None if x is None else x.numpy()[:, :longest] for x in rollout[2:]
        ]
        return Rollout(prompt_ids, prompt_mask, *answers)

    def _slots(self, rows: int) -> np.ndarray | None:
        """How many answers a replica has under way; None is all of them."""
        slots = self.policy.slots
        share = rows // self.strategy.num_replicas_in_sync
        return np.asarray(slots, np.int32) if slots and share > slots else None

    def _collect(self, ids, mask, first, settings, given, slots) -> Rollout:
        def replica():
            rows = replica_rows(tf.shape(ids)[0])
            seeds = row_seeds(
                self.seed, first + tf.cast(rows[0], tf.int64), tf.size(rows)
            )
            prompts, present, begun = rows_of((ids, mask, given), rows)
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
            answers = list(rollout[2:6])
            if self.reference is not None:
                answers.append(self._judged(self.reference, rollout, settings))
            return [join_replicas(x) for x in answers]

        answers = self.strategy.run(replica)
        answers = [
            self.strategy.experimental_local_results(x)[0] for x in answers
        ]
        return Rollout(ids, mask, *answers)

    def _judged(self, reference: Policy, rollout: Rollout, settings) -> Tensor:
        """The reference's log-probs; columns that no answer uses cost nothing.

        XLA would compile each number of columns anew, so it gets all of them.
        """
        columns = longest = tf.shape(rollout.mask)[1]
        if not self._jit:
            used = tf.reduce_any(rollout.mask, axis=0)
            longest = 1 + tf.reduce_max(tf.where(used, tf.range(columns), 0))
        short = [x[:, :longest] for x in rollout[2:6]]
        rollout = Rollout(rollout.prompt_ids, rollout.prompt_mask, *short)
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
