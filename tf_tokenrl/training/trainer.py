"""The loop: sample, reward, learn, and again.

trainer = rl.Trainer(policy, reward=rouge - 0.1 * kl, algorithm=ppo,
                     optimizer=adam, reference=policy.frozen_copy())
history = trainer.fit(task.examples("train"), steps=200, batch_size=64)
"""

import functools
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl import evaluation
from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.evaluation import blindness
from tf_tokenrl.flow import Batch, Context, Example, Rollout
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.storage import digest
from tf_tokenrl.rewards import Reward
from tf_tokenrl.runtime.tracing import Graph, check_stages
from tf_tokenrl.schedules import Measurement
from tf_tokenrl.training import (
    data_order,
    first_batch,
    loop,
    preflight,
    step_logs,
)
from tf_tokenrl.training.rollouts import imitation
from tf_tokenrl.training.rollouts.exploration import SAMPLING, Exploration
from tf_tokenrl.training.rollouts.imitation import Lesson
from tf_tokenrl.training.rollouts.overlap import in_halves
from tf_tokenrl.training.rollouts.sampler import Collector
from tf_tokenrl.training.updates.kl_loss import KlLoss
from tf_tokenrl.training.updates.learning_rate import LearningRate
from tf_tokenrl.training.updates.updater import Updater

_CLOCK = ("seconds", "tokens_per_second")


class Trainer:
    """Trains a policy by reinforcement, under the current strategy.

    Create policy, reference and optimizer in the scope of the strategy that
    is current when the trainer is made. Every step is a function of the
    weights, the optimizer, `seed`, the number of the step and what reward
    and KL loss keep, so a restored run goes on as if it had never stopped.

    Args:
        policy: what learns.
        reward: scores each chosen token.
        algorithm: turns rewards into a loss.
        optimizer: a Keras optimizer without clipping of its own, for Keras
            would clip before the gradients of the replicas are summed.
        reference: a frozen policy; KL and perplexity rewards need it.
        gradient_clip: greatest global norm of the summed gradient; 0 is no
            limit.
        accumulation: parts in which the rows of a minibatch are computed;
            the gradient is the same, the memory smaller.
        seed: of sampling and of the order of data.
        exploration: the distribution that answers are drawn from; by default
            the policy's own.
        kl_loss: adds KL to the reference to the loss of any algorithm.

    Attributes:
        overlap: True samples one half of a batch while the rewards in Python
            of the other are computed. Answers and rewards are the same (up to
            the rounding of products with half as many rows), and sampling
            two halves takes longer than sampling both at once: it pays where
            `reward_share` is large.
        reward_share: what the last step spent on rewards that were not
            computed meanwhile, as a share of its time.
        self_check: names of the checks that a fresh run makes on its first
            batch, see `first_batch.check`; an empty set makes none.
        like_lengths: whether the prompts of a step have like lengths, see
            `data_order.stream`; False at first.

    Raises:
        TokenRLError: the parts do not fit together.
    """

    def __init__(
        self,
        policy: Policy,
        reward: Reward,
        algorithm: Algorithm,
        optimizer: keras.optimizers.Optimizer,
        reference: Policy | None = None,
        gradient_clip: float = 1.0,
        accumulation: int = 1,
        seed: int = 0,
        exploration: Exploration | None = None,
        kl_loss: KlLoss | None = None,
    ):
        preflight.check_parts(policy, optimizer, reference)
        preflight.check_kl_loss(kl_loss, policy, reference, exploration)
        preflight.check_reward(reward)
        self.strategy = tf.distribute.get_strategy()
        self.policy = policy
        self.reward = reward
        self.algorithm = algorithm
        self.optimizer = optimizer
        self.reference = reference
        self.accumulation = accumulation
        self.seed = seed
        self.exploration = exploration or Exploration()
        self.memory = algorithm.first_memory()
        self.kl_loss = kl_loss
        self.overlap = False
        self.reward_share = self._waited = 0.0
        self.finished_steps = 0
        self.self_check: frozenset[str] = first_batch.NAMES
        self.like_lengths = False
        with self.strategy.scope():
            self.learning_rate = LearningRate(optimizer)
            optimizer.build(policy.trainable_variables)
        self._targets = Graph(algorithm.targets)
        self._identity = {
            "reference": digest(reference),
            "learning_rate": self.learning_rate.described,
            "gradient_clip": gradient_clip,
            "max_new_tokens": policy.max_new_tokens,
            "temperature": policy.temperature,
        }
        self.fitted: dict[str, Any] = {}
        self._build(gradient_clip)

    def _build(self, gradient_clip: float) -> None:
        """What `collect` and `learn` work with."""
        self._collect = Collector(self.policy, self.reference, self.seed)
        self._update = Updater(
            self.policy,
            self.algorithm,
            self.optimizer,
            gradient_clip,
            self.accumulation,
            self.kl_loss,
            self.reference,
        )

    def compile(self, stages: Collection[str]) -> None:
        """Let XLA compile some stages; do so before the first step.

        Args:
            stages: "scoring" of the reference, "update", or both. Neither is
                the default, for on a CPU it gains nothing, see
                `docs/performance.md`.

        Raises:
            TokenRLError: XLA cannot compile one of them.
        """
        check_stages(stages, self.strategy)
        if "scoring" in stages:
            self._collect.compile()
        if "update" in stages:
            self._update.compile()

    def fit(
        self,
        examples: Sequence[Example],
        steps: int,
        batch_size: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> list[dict[str, float]]:
        """Take steps until `steps` are finished, those of before included.

        Args:
            examples: prompts and references; gone through in a fresh order
                each epoch.
            steps: total number of steps.
            batch_size: answers per step, over all replicas.
            callbacks: see `loop.run`, also for what is returned and raised.

        Raises:
            TokenRLError: no examples, a prompt that is too long, a batch
                size that cannot be split, or a self-check that failed.
        """
        preflight.check_batch(self, examples, batch_size)
        self.fitted = {"data": loop.digest(examples), "batch_size": batch_size}
        fresh = not self.finished_steps
        if fresh:
            blindness.warn(self.reward, examples)
        prompts = batch_size // self.algorithm.samples_per_prompt
        history = loop.run(
            self,
            lambda step: self.step(self._rows(examples, batch_size), step),
            steps,
            max(len(examples) // prompts, 1),
            callbacks,
        )
        if fresh:
            preflight.check_learned(history)
        return history

    def step(self, examples: Sequence[Example], step: int) -> dict[str, float]:
        """Once round: prompts, answers, rewards, targets, updates.

        Args:
            examples: one per answer of the global batch; rows that share a
                prompt are adjacent.
            step: number of this step; decides the noise.

        Returns:
            The step's logs, see `docs/metrics.md`.
        """
        start = time.perf_counter()
        batch, terms = self.collect(examples, step)
        if not self.finished_steps and self.self_check:
            self._check_once(batch)
        metrics = self.learn(batch, step)
        seconds = time.perf_counter() - start
        self.reward_share = self._waited / seconds
        logs = self._logs(batch, terms, metrics, seconds)
        self._observe(step, len(examples), logs)
        return logs

    def collect(
        self, examples: Sequence[Example], step: int
    ) -> tuple[Batch, dict[str, np.ndarray]]:
        """Sample answers and reward them; nothing is learned.

        Returns:
            The batch, and each reward term's `[B, T]`, before its weight.
        """
        prompts = self.policy.encode([example.prompt for example in examples])
        settings = self._settings(step)
        lesson = imitation.prepare(self.policy, self.algorithm, examples, step)
        sampling = {k: settings[k] for k in SAMPLING if k in settings}
        self.reward.begin(step)

        def sample(part: slice | None = None) -> Rollout:
            return self._collect(*prompts, step, sampling, lesson.given, part)

        rollout, early = self._sampled(sample, examples, lesson)
        sampled = time.perf_counter()
        rewards, terms = self._rewarded(examples, rollout, lesson, early)
        self._waited = time.perf_counter() - sampled
        memory = {k: np.float32(v) for k, v in self.memory.items()}
        context = Context(memory=memory)
        if self.algorithm.needs_greedy:
            mask, earned = self._greedy(examples, prompts, step, lesson)
            context = Context(mask, earned, memory)
        targets = self._targets(rollout, rewards, context)
        targets = tf.nest.map_structure(lambda x: x.numpy(), targets)
        batch = Batch(rollout, rewards, targets, lesson.teacher, settings)
        return batch, terms

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """All updates of one batch; returns their mean metrics."""
        history: list[dict[str, float]] = []
        for rows in self._minibatches(len(batch.rewards), step):
            history.append(self._update(batch, rows))
            if self.algorithm.enough(history[-1]):
                break
        self.memory = self.algorithm.remember(self.memory, batch)
        metrics = {k: [h[k] for h in history] for k in history[0]}
        means = {k: float(np.mean(v)) for k, v in metrics.items()}
        return means | {"updates": float(len(history))}

    def tracked(self) -> dict:
        """What a checkpoint holds, by name: TensorFlow's variables."""
        return {
            "weights": [v.value for v in self.policy.weights],
            "optimizer": [v.value for v in self.optimizer.variables],
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds besides: plain JSON."""
        kept = {} if self.kl_loss is None else self.kl_loss.state()
        return {
            "finished_steps": self.finished_steps,
            "learning_rate_factor": self.learning_rate.factor,
            "memory": self.memory,
            "reward": self.reward.state(),
            "kl_loss": kept,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave, after what is `tracked`."""
        self.finished_steps = state["finished_steps"]
        self.learning_rate.restore(state["learning_rate_factor"])
        self.memory = state["memory"]
        self.reward.begin(max(self.finished_steps - 1, 0))
        self.reward.restore(state["reward"])
        if self.kl_loss is not None:
            self.kl_loss.restore(state["kl_loss"])

    def identity(self) -> dict[str, Any]:
        """What must not change between the parts of one run.

        Data and batch size are known when `fit` has begun.
        """
        return self._identity | {
            "seed": self.seed,
            "algorithm": repr(self.algorithm),
            "exploration": repr(self.exploration),
            "reward": repr(self.reward),
            "kl_loss": repr(self.kl_loss),
            "parameters": self.policy.count_params(),
            **self.fitted,
        }

    def evaluate(self, examples, metrics, batch_size: int = 64) -> dict:
        """Means and 95% intervals of greedy answers, see `evaluation`."""
        return evaluation.evaluate(self.policy, examples, metrics, batch_size)

    def _check_once(self, batch: Batch) -> None:
        settings = batch.settings or {}
        settings = {k: settings[k] for k in SAMPLING if k in settings}
        score = functools.partial(self.policy.score, **settings)
        first_batch.check(self.policy, batch.rollout, score, self.self_check)
        self.self_check = frozenset()

    def _settings(self, step: int) -> dict[str, np.float32]:
        """All numbers that follow a schedule, at a step."""
        chosen = self.algorithm.settings(step)
        scheduled = {name: np.float32(value) for name, value in chosen.items()}
        if self.kl_loss is not None:
            scheduled["kl_weight"] = np.float32(self.kl_loss.weight_at(step))
        return scheduled | self.exploration.at(step, self.policy.temperature)

    def _sampled(self, sample, examples, lesson: Lesson):
        """A rollout, and the reward terms that were computed meanwhile."""
        if not self.overlap:
            return sample(), {}
        terms = [(n, r) for n, _, r in self.reward.terms() if r.by_row]

        def score(part: slice, rollout: Rollout) -> dict[str, np.ndarray]:
            seen = imitation.whole(rollout, lesson, part)
            rows = examples[part], self.policy.decode(seen), seen
            return {name: reward(*rows) for name, reward in terms}

        replicas = self.strategy.num_replicas_in_sync
        unit = replicas * self.algorithm.samples_per_prompt
        return in_halves(sample, score, len(examples), unit)

    def _rewarded(self, examples, rollout: Rollout, lesson: Lesson, early=None):
        """Rewards `[B, T]` of the chosen tokens, and each term of them."""
        early = early or {}
        seen = imitation.whole(rollout, lesson)
        responses = self.policy.decode(seen)
        rewards = np.zeros(rollout.mask.shape, np.float32)
        terms = {}
        for name, weight, reward in self.reward.terms():
            if name in early:
                values = early[name]
            else:
                values = reward(examples, responses, seen)
            terms[name] = np.where(rollout.mask, values, np.float32(0))
            rewards += np.float32(weight) * terms[name]
        return rewards, terms

    def _greedy(self, examples, prompts, step: int, lesson: Lesson):
        """Mask and rewards `[B, T']` of the greedy answers."""
        greedy = {"temperature": np.float32(0)}
        ids, mask = prompts
        rollout = self._collect(ids, mask, step, greedy, lesson.given)
        return rollout.mask, self._rewarded(examples, rollout, lesson)[0]

    def _minibatches(self, rows: int, step: int) -> Iterator[np.ndarray]:
        """The rows of each update of a step, in order."""
        size = rows // self.algorithm.minibatches
        for epoch in range(self.algorithm.epochs):
            rng = np.random.default_rng((self.seed, step, epoch))
            order = rng.permutation(rows)
            for start in range(0, size * self.algorithm.minibatches, size):
                # Neighbours that answer one prompt share its reading.
                yield np.sort(order[start : start + size])

    def _rows(self, examples, batch_size: int) -> list[Example]:
        """The examples of the next step, each `samples_per_prompt` times."""
        copies = self.algorithm.samples_per_prompt
        prompts = batch_size // copies
        first = self.finished_steps * prompts
        rows = data_order.stream(
            examples, first, prompts, self.seed, self.like_lengths
        )
        return [row for row in rows for _ in range(copies)]

    def _logs(self, batch, terms, metrics, seconds) -> dict[str, float]:
        logs = step_logs.of_rollout(batch, self.policy.stop_ids)
        logs |= metrics
        logs |= {k: float(v) for k, v in (batch.settings or {}).items()}
        rate = tf.convert_to_tensor(self.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
        logs |= step_logs.of_clock(batch.rollout.mask.sum(), seconds)
        return logs | step_logs.of_terms(terms) | self.reward.report()

    def _observe(self, step: int, answers: int, logs: dict[str, float]):
        """Tell reward and KL loss what was measured, but for the clock."""
        known = {k: v for k, v in logs.items() if k not in _CLOCK}
        measured = Measurement(step, answers, logs["reward"], known)
        self.reward.observe(measured)
        if self.kl_loss is not None:
            self.kl_loss.observe(measured._replace(mean=logs["kl"]))
