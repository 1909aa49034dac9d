"""The loop: sample, reward, learn, and again.

trainer = rl.Trainer(policy, reward=rouge - 0.1 * kl, algorithm=ppo,
                     optimizer=adam, reference=policy.frozen_copy())
history = trainer.fit(task.examples("train"), steps=200, batch_size=64)
"""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl import algorithms, evaluation, rewards
from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.flow import Batch, Context, Example, Response
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.policies.storage import digest
from tf_tokenrl.rewards import Reward
from tf_tokenrl.runtime.tracing import Graph, check_stages, in_numpy
from tf_tokenrl.schedules import Measurement
from tf_tokenrl.training import (
    data_order,
    first_batch,
    loop,
    preflight,
    step_logs,
)
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.rollouts.exploration import Exploration, sampling
from tf_tokenrl.training.rollouts.imitation import imitated
from tf_tokenrl.training.rollouts.prompts import EncodedExamples, Prompts
from tf_tokenrl.training.rollouts.sampled import Sampled
from tf_tokenrl.training.rollouts.sampler import Sampler
from tf_tokenrl.training.rollouts.scorer import Scorer, Terms
from tf_tokenrl.training.rollouts.source import RolloutSource
from tf_tokenrl.training.updates.kl_loss import KlLoss
from tf_tokenrl.training.updates.learning_rate import LearningRate
from tf_tokenrl.training.updates.updater import Updater

_CLOCK = ("seconds", "tokens_per_second")


class Trainer:
    """Trains a policy by reinforcement, under the current strategy.

    Create policy, reference and optimizer in the scope of the strategy that
    is current when the trainer is made. Every step is a function of the
    weights, the optimizer, the seed, the number of the step and what reward
    and KL loss keep, so a restored run goes on as if it had never stopped.

    Args:
        policy: what learns.
        reward: scores each chosen token.
        algorithm: turns rewards into a loss.
        optimizer: a Keras optimizer without clipping of its own, for Keras
            would clip before the gradients of the replicas are summed.
        reference: a frozen policy; KL and perplexity rewards need it.
        kl_loss: adds KL to the reference to the loss of any algorithm.
        exploration: the distribution that answers are drawn from; by default
            the policy's own.
        source: where answers come from; by default the policy samples them.
        options: how the work is done.

    Attributes:
        scorer: computes what answers earn.
        finished_steps: how many steps were taken.
        answers: of the last step, `(example, response, reward)` for each.
        reward_share: what the last step spent on rewards that were not
            computed meanwhile, as a share of its time.

    Raises:
        TokenRLError: the parts do not fit together.
    """

    checks = first_batch.NAMES  # those that make sense for this trainer

    def __init__(
        self,
        policy: Policy,
        reward: Reward | Callable | str,
        algorithm: Algorithm | str,
        optimizer: keras.optimizers.Optimizer,
        reference: Policy | None = None,
        kl_loss: KlLoss | None = None,
        exploration: Exploration | None = None,
        source: RolloutSource | None = None,
        options: TrainerOptions | None = None,
    ):
        reward = rewards.of(reward)
        if isinstance(algorithm, str):
            algorithm = algorithms.parse(algorithm)
        preflight.check_parts(policy, optimizer, reference)
        preflight.check_kl_loss(kl_loss, policy, reference, exploration)
        preflight.check_reward(reward)
        self.strategy = tf.distribute.get_strategy()
        self.policy = policy
        self.algorithm = algorithm
        self.optimizer = optimizer
        self.reference = reference
        self.kl_loss = kl_loss
        self.exploration = exploration or Exploration()
        self.options = options or TrainerOptions()
        self.memory = algorithm.first_memory()
        self.reward_share = 0.0
        self.finished_steps = 0
        self.answers: list[tuple[Example, Response, float]] = []
        self._checked = False
        self.scorer = Scorer(
            reward,
            policy.decode,
            self.options.overlap,
            algorithm.sums_forward,
            self.options.reward_processes,
            self.options.reward_seconds,
        )
        check_stages(self.options.jit, self.strategy)
        self.source = source or self._sampled()
        with self.strategy.scope():
            self.learning_rate = LearningRate(optimizer)
            optimizer.build(policy.trainable_variables)
        self._targets = Graph(algorithm.targets)
        self._identity = {
            "reference": digest(reference),
            "learning_rate": self.learning_rate.described,
            "gradient_clip": self.options.gradient_clip,
            "accumulation": self.options.accumulation,
            "max_new_tokens": policy.max_new_tokens,
            "temperature": policy.temperature,
        }
        self.fitted: dict[str, Any] = {}
        self._build()

    def _sampled(self) -> Sampled:
        """The policy itself as a source of answers."""
        sampler = Sampler(
            self.policy,
            self.reference,
            self.options.seed,
            jit="scoring" in self.options.jit,
        )
        return Sampled(sampler, halves=self.options.overlap)

    def _build(self) -> None:
        """Make what `learn` works with."""
        self._update = Updater(
            self.policy,
            self.algorithm,
            self.optimizer,
            self.options.gradient_clip,
            self.options.accumulation,
            self.kl_loss,
            self.reference,
            jit="update" in self.options.jit,
        )

    @property
    def reward(self) -> Reward:
        """What scores each chosen token."""
        return self.scorer.reward

    def fit(
        self,
        examples: Sequence[Example] | EncodedExamples,
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
        data = self.prepare(examples, batch_size)
        content = loop.digest(data.examples)
        self.fitted = {"data": content, "batch_size": batch_size}
        fresh = not self.finished_steps
        if fresh:
            preflight.warn(self.reward, self.algorithm, data.examples)
        prompts = batch_size // self.algorithm.samples_per_prompt
        with self.scorer:
            history = loop.run(
                self,
                functools.partial(self._take, data, batch_size),
                steps,
                max(len(data) // prompts, 1),
                callbacks,
            )
        if fresh:
            preflight.check_learned(history)
        return history

    def prepare(
        self, examples: Sequence[Example] | EncodedExamples, batch_size: int
    ) -> EncodedExamples:
        """Encode a data set for `fit`, and check that its batches fit.

        Raises:
            TokenRLError: see `fit`.
        """
        preflight.check_batch(self, examples, batch_size)
        return self.encode(examples)

    def encode(
        self, examples: Sequence[Example] | EncodedExamples
    ) -> EncodedExamples:
        """Encode prompts, and references if the algorithm imitates them."""
        if isinstance(examples, EncodedExamples):
            return examples
        imitates = self.algorithm.imitates
        return EncodedExamples.of(self.policy, examples, imitates)

    def step(
        self, examples: Sequence[Example] | EncodedExamples, step: int
    ) -> dict[str, float]:
        """Once round: prompts, answers, rewards, targets, updates.

        Args:
            examples: one per answer of the global batch; rows that share a
                prompt are adjacent.
            step: number of this step; decides the noise.

        Returns:
            The step's logs, see `docs/metrics.md`.
        """
        started = time.perf_counter()
        batch, terms = self.collect(examples, step)
        self._check_once(batch)
        metrics = self.learn(batch, step)
        seconds = time.perf_counter() - started
        self.reward_share = self.scorer.seconds / seconds
        logs = self._logs(batch, terms, metrics, seconds)
        self._observe(step, len(examples), logs)
        return logs

    def collect(
        self, examples: Sequence[Example] | EncodedExamples, step: int
    ) -> tuple[Batch, Terms]:
        """Have prompts answered and rewarded; nothing is learned.

        Returns:
            The batch, and each reward term's `[B, T]`, before its weight.
        """
        self.reward.begin(step)
        self.scorer.seconds = 0.0
        prompts = self._ask(self.encode(examples), step)
        answers = self.source(prompts)
        rollout, rewards, terms, responses = self.scorer(prompts, answers)
        earned = rewards.sum(-1).tolist()
        self.answers = [*zip(prompts.examples, responses, earned, strict=True)]
        context = self._context(prompts)
        targets = in_numpy(self._targets(rollout, rewards, context))
        settings = dict(prompts.settings)
        batch = Batch(rollout, rewards, targets, prompts.teacher, settings)
        return batch, terms

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """All updates of one batch; returns their mean metrics."""
        history: list[dict[str, float]] = []
        parts, seed = self.algorithm.minibatches, (self.options.seed, step)
        for rows in data_order.minibatches(
            len(batch.rewards), self.algorithm.epochs, parts, seed
        ):
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
            **self.learning_rate.state(),
            "memory": self.memory,
            "reward": self.reward.state(),
            "kl_loss": kept,
            "source": self.source.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave, after what is `tracked`."""
        self.finished_steps = state["finished_steps"]
        self.learning_rate.restore(state)
        self.memory = state["memory"]
        self.reward.begin(max(self.finished_steps - 1, 0))
        self.reward.restore(state["reward"])
        if self.kl_loss is not None:
            self.kl_loss.restore(state["kl_loss"])
        self.source.restore(state.get("source", {}))

    def identity(self) -> dict[str, Any]:
        """What must not change between the parts of one run.

        Data and batch size are known when `fit` has begun.
        """
        return self._identity | {
            "seed": self.options.seed,
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

    def _ask(self, data: EncodedExamples, step: int) -> Prompts:
        """What a source is asked in a step."""
        teacher, prefix = imitated(self.algorithm, data.references, step)
        return Prompts(
            data.examples,
            data.prompt_ids,
            data.prompt_mask,
            step,
            self._settings(step),
            teacher,
            prefix,
            group=self.algorithm.samples_per_prompt,
            version=int(tf.convert_to_tensor(self.optimizer.iterations)),
        )

    def _settings(self, step: int) -> dict[str, np.float32]:
        """All numbers that follow a schedule, at a step."""
        chosen = self.algorithm.settings(step)
        scheduled = {name: np.float32(value) for name, value in chosen.items()}
        if self.kl_loss is not None:
            scheduled["kl_weight"] = np.float32(self.kl_loss.weight_at(step))
        return scheduled | self.exploration.at(step, self.policy.temperature)

    def _context(self, prompts: Prompts) -> Context:
        """What the algorithm remembers, and greedy answers if it asks."""
        memory = {k: np.float32(v) for k, v in self.memory.items()}
        if not self.algorithm.needs_greedy:
            return Context(memory=memory)
        greedy = prompts.greedily()
        scored = self.scorer(greedy, self.source(greedy))
        return Context(scored.rollout.mask, scored.rewards, memory)

    def _check_once(self, batch: Batch) -> None:
        """The first batch of a fresh run must not contradict itself."""
        preflight.check_whitening(self.algorithm, batch.rollout)
        names = self.options.self_check & self.checks
        if names and not (self._checked or self.finished_steps):
            now = sampling(batch.settings or {})
            score = functools.partial(self.policy.score, **now)
            first_batch.check(self.policy, batch.rollout, score, names)
        self._checked = True

    def _take(
        self, data: EncodedExamples, batch_size: int, step: int
    ) -> dict[str, float]:
        """Take a step with its examples, each `samples_per_prompt` times."""
        copies = self.algorithm.samples_per_prompt
        prompts = batch_size // copies
        order = self.options.seed, self.options.similar_lengths
        rows = data_order.stream(data.examples, step * prompts, prompts, *order)
        return self.step(data.rows(np.repeat(rows, copies)), step)

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
