"""The trainer of data that exists: batch, update, and again.

learner = Learner(policy, Likelihood(), Adam(1e-3))
history = learner.fit(task.examples("train"), epochs=3, batch_size=32)
"""

import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.flow import Example
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.storage import digest
from tf_tokenrl.runtime.tracing import check_stages
from tf_tokenrl.training import loop, preflight
from tf_tokenrl.training.objectives.base import Objective
from tf_tokenrl.training.rows import Rows
from tf_tokenrl.training.updates.learning_rate import LearningRate
from tf_tokenrl.training.updates.objective_updater import ObjectiveUpdater

_MEASURED = 128  # rows of a batch that is measured only


class Learner:
    """Trains a policy by an objective, under the current strategy.

    The counterpart of `Trainer`, with the same loop, callbacks, gradient step
    and checkpoints. Create policy, reference and optimizer in the scope of
    the strategy that is current when the learner is made. Every step is a
    function of the weights, the optimizer, the seed and the number of the
    step, so a restored run goes on as if it had never stopped.

    Args:
        policy: what learns.
        objective: from data to a loss.
        optimizer: a Keras optimizer without clipping of its own.
        reference: a frozen policy, where the objective needs one.
        gradient_clip: greatest global norm of the summed gradient; 0 is no
            limit.
        accumulation: parts in which the rows of a batch are computed; the
            gradient is the same, the memory smaller.
        seed: of the order of data.

    Attributes:
        finished_steps: how many steps were taken.

    Raises:
        TokenRLError: the parts do not fit together.

    Example:

    ```python
    learner = Learner(policy, Likelihood(prompt_weight=0.2), Adam(1e-3))
    history = learner.fit(
        examples, epochs=3, batch_size=32, validation=held_out
    )
    history[-1]["validation/nll"]
    ```
    """

    def __init__(
        self,
        policy: Policy,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        reference: Policy | None = None,
        gradient_clip: float = 1.0,
        accumulation: int = 1,
        seed: int = 0,
    ):
        preflight.check_parts(policy, optimizer, reference)
        objective.check(policy, reference)
        self.strategy = tf.distribute.get_strategy()
        self.policy = policy
        self.objective = objective
        self.optimizer = optimizer
        self.reference = reference
        self.seed = seed
        self.finished_steps = 0
        with self.strategy.scope():
            self.learning_rate = LearningRate(optimizer)
            optimizer.build(policy.trainable_variables)
        self._update = ObjectiveUpdater(
            policy, objective, optimizer, reference, gradient_clip, accumulation
        )
        self._identity = {
            "objective": repr(objective),
            "reference": digest(reference),
            "learning_rate": self.learning_rate.described,
            "gradient_clip": gradient_clip,
            "seed": seed,
            "parameters": policy.count_params(),
        }
        self.fitted: dict[str, Any] = {}

    def compile(self) -> None:
        """Let XLA compile the steps; do so before the first step.

        Raises:
            TokenRLError: there are several replicas, which XLA cannot sum.
        """
        check_stages(("update",), self.strategy)
        self._update.compile()

    def fit(
        self,
        examples: Sequence[Example],
        epochs: int,
        batch_size: int,
        validation: Sequence[Example] = (),
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> list[dict[str, float]]:
        """Go through the data until `epochs` are finished.

        Args:
            examples: what is learned, in a fresh order each epoch.
            epochs: total number of passes, those of before included.
            batch_size: rows per step, over all replicas.
            validation: what is measured at the end of each epoch, in logs
                called "validation/...".
            callbacks: see `loop.run`.

        Returns:
            The logs of the steps taken.

        Raises:
            TokenRLError: no examples, or one that does not fit.
            KeyboardInterrupt: Ctrl-C, see `loop.run` for this and others.
        """
        rows = self.objective.rows(self.policy, examples)
        held_out = None
        if validation:
            held_out = self.objective.rows(self.policy, validation)
        per_epoch = -(-len(rows) // batch_size)
        self.fitted = {
            "data": loop.digest(examples),
            "validation": loop.digest(validation),
            "batch_size": batch_size,
        }
        order: dict[int, list[np.ndarray]] = {}

        def take(step: int) -> dict[str, float]:
            epoch, place = divmod(step, per_epoch)
            if epoch not in order:
                order.clear()
                order[epoch] = rows.epoch(self.seed, epoch, batch_size)
            logs = self.step(rows, order[epoch][place])
            if held_out is not None and place + 1 == per_epoch:
                logs |= self._validated(held_out)
            return logs

        return loop.run(self, take, epochs * per_epoch, per_epoch, callbacks)

    def step(self, rows: Rows, taken: np.ndarray) -> dict[str, float]:
        """One update on some rows; returns the step's logs."""
        start = time.perf_counter()
        batch = rows.batch(taken, self._update.multiple)
        logs = self._update(batch)
        rate = tf.convert_to_tensor(self.optimizer.learning_rate)
        seconds = time.perf_counter() - start
        tokens = float(rows.lengths[taken].sum())
        return logs | {
            "learning_rate": float(rate),
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
        }

    def measure(self, examples: Sequence[Example]) -> dict[str, float]:
        """The objective's figures on some examples; nothing is learned."""
        rows = self.objective.rows(self.policy, examples)
        return self._update.measure(rows, rows.in_order(_MEASURED))

    def _validated(self, rows: Rows) -> dict[str, float]:
        found = self._update.measure(rows, rows.in_order(_MEASURED))
        return {f"validation/{name}": value for name, value in found.items()}

    def tracked(self) -> dict:
        """What a checkpoint holds, by name: TensorFlow's variables."""
        return {
            "weights": [v.value for v in self.policy.weights],
            "optimizer": [v.value for v in self.optimizer.variables],
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides: plain JSON."""
        return {
            "finished_steps": self.finished_steps,
            **self.learning_rate.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave, after what is `tracked`."""
        self.finished_steps = state["finished_steps"]
        self.learning_rate.restore(state)

    def identity(self) -> dict[str, Any]:
        """What must not change between the parts of one run."""
        return self._identity | self.fitted
