"""The trainer whose middle is TF-Agents' DQN."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Example, Rollout
from tf_tokenrl.training.q_learning.agents import (
    DdqnAgent,
    DqnAgent,
    from_spec,
    time_step,
)
from tf_tokenrl.training.q_learning.dqn import Dqn
from tf_tokenrl.training.q_learning.environment import TokenEnvironment
from tf_tokenrl.training.q_learning.network import QNetwork
from tf_tokenrl.training.q_learning.q_values import q_values
from tf_tokenrl.training.q_learning.replay import Replay
from tf_tokenrl.training.rollouts.exploration import Exploration
from tf_tokenrl.training.rollouts.prompts import EncodedExamples
from tf_tokenrl.training.rollouts.sampled import Sampled
from tf_tokenrl.training.rollouts.scorer import Terms
from tf_tokenrl.training.trainer import Trainer


class QTrainer(Trainer):
    """Trains a policy's Q by `DqnAgent`, on one device.

    A step collects one answer to each of its examples, token by token in
    `TokenEnvironment`s: the token of the largest Q, or with probability
    epsilon any token; puts the answers into the replay buffer; and takes the
    algorithm's `updates`. Examples come in the order in which `Trainer` takes
    them. What is drawn is a function of `seed` and the step, so a restored
    run goes on as if it had never stopped.

    Args:
        policy: whose values and logits are Q, see `q_values`.
        reward: see `TokenEnvironment`.
        algorithm: a `Dqn`.
        optimizer: see `Trainer`.
        reference: the policy before training; `samples` alone looks at it.
        kl_loss: must be left alone.
        exploration: must be left alone; epsilon is the algorithm's.
        source: must be left alone.
        options: see `Trainer`; `accumulation` must be 1 and `jit` empty.

    Raises:
        TokenRLError: the parts do not fit together, the vocabulary is too
            large, or the strategy has several replicas.
    """

    algorithm: Dqn
    # What is not sampled has neither a ratio nor a KL to check.
    checks = frozenset({"trainable", "finite", "stop"})

    def _build(self) -> None:
        specs = self._environment(Example(""))
        steps, action = (
            tf.nest.map_structure(from_spec, spec)
            for spec in (specs.time_step_spec(), specs.action_spec())
        )
        self._actions = int(action.maximum) + 1
        self._check()
        self._target = self.policy.frozen_copy()
        network, target = (
            QNetwork(steps.observation, policy, self._actions)
            for policy in (self.policy, self._target)
        )
        self._clipped = ClippedOptimizer(
            self.optimizer, self.options.gradient_clip
        )
        kind = DdqnAgent if self.algorithm.double else DqnAgent
        self._agent = kind(
            steps,
            action,
            q_network=network,
            target_q_network=target,
            optimizer=self._clipped,
            n_step_update=self.algorithm.n_step,
            target_update_tau=self.algorithm.target_rate,
            train_step_counter=tf.Variable(0, dtype=tf.int64),
        )
        self._agent.initialize()
        self._replay = Replay(
            self._agent.collect_data_spec, self.algorithm.replay_capacity
        )
        self._train = tf.function(self._agent.train, autograph=False)
        self._best = tf.function(
            self._best_graph,
            input_signature=[_batched(steps.observation)],
            autograph=False,
        )

    def _check(self) -> None:
        largest = self.algorithm.largest_vocabulary
        if self._actions > largest:
            raise TokenRLError(
                f"The policy chooses among {self._actions} actions, too many "
                f"for Q-learning to try out (at most {largest}): prepare the "
                "data with a smaller vocabulary, or raise it by "
                f"dqn(largest_vocabulary={self._actions})."
            )
        replicas = self.strategy.num_replicas_in_sync
        if self.options.jit:
            raise TokenRLError(
                "XLA compiles nothing of Q-learning, whose updates are "
                "TF-Agents': leave jit out."
            )
        if not isinstance(self.source, Sampled):
            raise TokenRLError(
                "Q-learning collects its answers token by token: leave source "
                "out."
            )
        if self.options.accumulation > 1 or replicas > 1:
            raise TokenRLError(
                "Q-learning runs on one device and without accumulation, not "
                f"on {replicas} with accumulation={self.options.accumulation}: "
                "choose the default strategy and accumulation=1."
            )
        if self.kl_loss is not None:
            raise TokenRLError(
                "Q-learning has no KL in its loss: leave kl_loss out."
            )
        if self.exploration != Exploration():
            raise TokenRLError(
                f"Q-learning explores by its own epsilon, not by "
                f"{self.exploration!r}: write dqn(epsilon=...) instead."
            )

    def _environment(self, example: Example) -> TokenEnvironment:
        return TokenEnvironment(
            self.policy.text,
            [example],
            self.reward,
            discount=self.algorithm.discount,
            dense=self.algorithm.dense,
        )

    def _best_graph(self, observation):
        """Actions of the greedy policy, and what they are worth."""
        first = time_step.restart(observation, tf.shape(observation)[:1])
        action = self._agent.policy.action(first).action
        values = q_values(self.policy, observation)
        return action, tf.reduce_max(values, axis=-1)

    def tracked(self) -> dict:
        """See `Trainer.tracked`; the target network and the replay, too."""
        return super().tracked() | {
            "target": [variable.value for variable in self._target.weights],
            "replay": self._replay.buffer,
        }

    def collect(
        self, examples: Sequence[Example] | EncodedExamples, step: int
    ) -> tuple[Batch, Terms]:
        """Answer examples, reward them and remember it; nothing is learned.

        Returns:
            The batch, whose `values` are max_a Q(s_t, a) and whose log-probs
            are 0; and for each reward term `[B, T]` with what the answer
            earned, before its weight, on its last token.
        """
        self.reward.begin(step)
        examples = self.encode(examples).examples
        answers = [_Answer(self._environment(example)) for example in examples]
        rng = np.random.default_rng((self.options.seed, step))
        epsilon = self.algorithm.exploration(step)
        while any(answer.open for answer in answers):
            best, values = self._best(
                np.stack([a.observation for a in answers])
            )
            explores = rng.random(len(answers)) < epsilon
            anything = rng.integers(0, self._actions, len(answers))
            chosen = np.where(explores, anything, best)
            for answer, action, value in zip(
                answers, chosen, values.numpy(), strict=True
            ):
                answer.take(int(action), float(value))
        for answer in answers:
            self._replay.add(answer.states, answer.actions)
        return self._batch(examples, answers)

    def _batch(self, examples, answers):
        ids, prompt_mask = self.policy.encode([e.prompt for e in examples])
        lengths = np.array([len(answer.actions) for answer in answers])
        mask = np.arange(lengths.max())[None] < lengths[:, None]

        def table(rows, dtype=np.float32):
            filled = np.zeros(mask.shape, dtype)
            filled[mask] = np.concatenate(rows)
            return filled

        rollout = Rollout(
            ids,
            prompt_mask,
            table([answer.actions for answer in answers], np.int32),
            mask,
            np.zeros(mask.shape, np.float32),
            table([answer.values for answer in answers]),
        )
        rewards = table([answer.rewards for answer in answers])
        last = (np.arange(len(answers)), lengths - 1)
        terms = {}
        for name, _, _ in self.reward.terms():
            terms[name] = np.zeros(mask.shape, np.float32)
            terms[name][last] = [answer.earned(name) for answer in answers]
        targets = self.algorithm.targets(rollout, rewards)
        targets = tf.nest.map_structure(lambda x: x.numpy(), targets)
        return Batch(rollout, rewards, targets), terms

    def learn(self, batch: Batch, step: int) -> dict[str, float]:
        """The step's updates; returns their mean metrics."""
        metrics = {
            "value": float(batch.rollout.values[:, 0].mean()),
            "epsilon": self.algorithm.exploration(step),
            "replay": float(len(self._replay)),
        }
        frames = self.algorithm.n_step + 1
        if len(self._replay) < frames:
            return metrics
        history = [
            self._update_once(frames, (self.options.seed, step, update))
            for update in range(self.algorithm.updates)
        ]
        return metrics | {
            k: float(np.mean([h[k] for h in history])) for k in history[0]
        }

    def _update_once(self, frames: int, seed: tuple[int, ...]) -> dict:
        drawn = self._replay.draw(self.algorithm.minibatch_size, frames, seed)
        inside = drawn.step_type[:, 0].numpy() != time_step.StepType.LAST
        info = self._train(drawn)
        return {
            "loss": float(info.loss),
            "td_error": float(np.abs(info.extra.td_error)[inside].mean()),
            "gradient_norm": float(self._clipped.norm),
        }


class ClippedOptimizer:
    """A Keras 3 optimizer as TF-Agents calls one; clips the global norm.

    TF-Agents itself clips each variable's gradient by itself.

    Args:
        optimizer: built.
        gradient_clip: greatest global norm; 0 is no limit.

    Attributes:
        norm: of the last gradient, before it was clipped.
    """

    def __init__(self, optimizer, gradient_clip: float):
        self.optimizer = optimizer
        self.gradient_clip = gradient_clip
        self.norm = tf.Variable(0.0, trainable=False)

    def apply_gradients(self, grads_and_vars) -> None:
        """One step along pairs of a gradient and its variable."""
        gradients, variables = zip(*grads_and_vars, strict=True)
        norm = tf.linalg.global_norm(gradients)
        if self.gradient_clip > 0:
            gradients, _ = tf.clip_by_global_norm(
                gradients, self.gradient_clip, norm
            )
        self.norm.assign(norm)
        self.optimizer.apply(gradients, variables)


class _Answer:
    """One episode as it unfolds."""

    def __init__(self, environment: TokenEnvironment):
        self._environment = environment
        self.states = [environment.reset()]
        self.actions: list[int] = []
        self.values: list[float] = []

    @property
    def observation(self) -> np.ndarray:
        """What the policy sees next."""
        return self.states[-1].observation

    @property
    def open(self) -> bool:
        """Whether more tokens may follow."""
        return not self.states[-1].is_last()

    @property
    def rewards(self) -> list[float]:
        """What each token earned."""
        return [float(state.reward) for state in self.states[1:]]

    def earned(self, term: str) -> float:
        """What one term of the reward gave, before its weight."""
        return self._environment.earned[term]

    def take(self, action: int, value: float) -> None:
        """Choose a token in a state worth `value`; ignored after the end."""
        if self.open:
            self.states.append(self._environment.step(np.int32(action)))
            self.actions.append(action)
            self.values.append(value)


def _batched(spec: tf.TensorSpec) -> tf.TensorSpec:
    return tf.TensorSpec([None, *spec.shape], spec.dtype)
