"""Run by test_q_learning.py, with Keras 2 chosen for TF-Agents."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl import evaluation
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.evaluation.samples import samples
from tf_tokenrl.rewards import parse
from tf_tokenrl.schedules.linear import Linear
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.q_learning.agents import time_step
from tf_tokenrl.training.q_learning.dqn import Dqn
from tf_tokenrl.training.q_learning.q_values import q_values
from tf_tokenrl.training.q_learning.trainer import QTrainer
from tf_tokenrl.training.rollouts.exploration import Exploration

SMALL = {"updates": 2, "minibatch_size": 16, "replay_capacity": 200}


def make(name="gru", seed=0, learning_rate=1e-2, reward=None, **options):
    policy = tiny.policy(name, seed=seed)
    return QTrainer(
        policy,
        toy.Count() if reward is None else parse(reward),
        Dqn(**(SMALL | options)),
        keras.optimizers.Adam(learning_rate, epsilon=1e-5),
        reference=policy.frozen_copy(),
        options=TrainerOptions(seed=seed),
    )


def observed(trainer, step=0, examples=toy.EXAMPLES):
    """Frames of a step's answers, as the replay buffer holds them."""
    batch, terms = trainer.collect(examples, step)
    frames = trainer._replay.buffer.gather_all()
    count = len(trainer._replay)
    frames = tf.nest.map_structure(lambda x: x[0][:count], frames)
    return batch, terms, frames


def test_what_is_collected_is_what_was_lived_through():
    trainer = make(
        epsilon=0.5, reward="'tests.support.toy:Count' - 0.5 * length"
    )
    batch, terms, frames = observed(trainer)
    lengths = batch.rollout.mask.sum(-1)
    assert len(frames.reward) == lengths.sum() + len(lengths)
    ends = frames.step_type == time_step.StepType.LAST
    assert (
        np.flatnonzero(ends).tolist() == (np.cumsum(lengths + 1) - 1).tolist()
    )
    chosen = batch.rollout.actions[batch.rollout.mask]
    assert frames.action[~ends].tolist() == chosen.tolist()
    rewards = batch.rewards[batch.rollout.mask]
    np.testing.assert_array_equal(frames.reward[~ends], rewards)
    assert (frames.discount[~ends] == 0).sum() == len(lengths)
    counted = ((batch.rollout.actions == 5) & batch.rollout.mask).sum(-1)
    np.testing.assert_allclose(terms["Count"].sum(-1), counted)
    np.testing.assert_allclose(
        batch.rewards.sum(-1),
        counted - 0.5 * terms["length"].sum(-1),
        atol=1e-5,
    )


def test_greedy_collecting_is_the_policys_greedy_answer():
    trainer = make(epsilon=0.0)
    batch, _, frames = observed(trainer)
    rollout = evaluation.answer(trainer.policy, toy.EXAMPLES).rollout
    width = batch.rollout.mask.shape[1]
    np.testing.assert_array_equal(rollout.mask[:, :width], batch.rollout.mask)
    np.testing.assert_array_equal(
        rollout.actions[:, :width], batch.rollout.actions
    )
    np.testing.assert_allclose(
        rollout.values[:, :width], batch.rollout.values, atol=1e-5
    )


@pytest.mark.parametrize(("double", "n_step"), [(True, 1), (False, 3)])
def test_the_loss_is_that_of_the_recursion(double, n_step):
    """Huber's loss of plain Python targets, ends of answers left out."""
    trainer = make(epsilon=0.5, double=double, n_step=n_step, discount=0.9)
    tiny.roughen(trainer._target, seed=9)
    observed(trainer)
    drawn = trainer._replay.draw(64, n_step + 1, (0, 1))
    frames = tf.nest.map_structure(lambda x: x.numpy(), drawn)
    first, last = frames.observation[:, 0], frames.observation[:, -1]
    q, online, target = (
        tf.function(q_values)(policy, observation).numpy()
        for policy, observation in (
            (trainer.policy, first),
            (trainer.policy, last),
            (trainer._target, last),
        )
    )
    errors = []
    for row in range(64):
        best = (online if double else target)[row].argmax()
        wanted = target[row, best]
        for t in reversed(range(n_step)):
            wanted = frames.reward[row, t] + frames.discount[row, t] * wanted
        error = wanted - q[row, frames.action[row, 0]]
        is_end = frames.step_type[row, 0] == time_step.StepType.LAST
        errors.append(0.0 if is_end else abs(error))
    errors = np.array(errors)
    assert 0 < (errors == 0).sum() < 32
    huber = np.where(errors < 1, errors**2 / 2, errors - 0.5).mean()
    info = trainer._train(drawn)
    np.testing.assert_allclose(float(info.loss), huber, rtol=1e-4)


def test_the_target_follows_at_its_rate():
    trainer = make(target_rate=0.25)
    before = [w.copy() for w in trainer._target.get_weights()]
    observed(trainer)
    trainer._update_once(2, (0, 0))
    learned = trainer.policy.get_weights()
    assert any((a != b).any() for a, b in zip(before, learned, strict=True))
    for old, new, found in zip(
        before, learned, trainer._target.get_weights(), strict=True
    ):
        np.testing.assert_allclose(found, 0.75 * old + 0.25 * new, atol=1e-6)


@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_the_global_norm_is_clipped(clip):
    trainer = make()
    trainer._clipped.gradient_clip = clip
    trainer._clipped.optimizer = applied = Applied()
    gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
    variables = [tf.Variable(tf.zeros_like(g)) for g in gradients]
    trainer._clipped.apply_gradients(zip(gradients, variables, strict=True))
    assert float(trainer._clipped.norm) == 5
    norm = float(tf.linalg.global_norm(applied.gradients))
    assert norm == pytest.approx(clip or 5.0)


class Applied:
    def apply(self, gradients, variables):
        self.gradients = gradients


def test_draws_follow_from_the_seed_and_leave_numpy_alone():
    trainer = make()
    observed(trainer)
    before = np.random.get_state()[1].tolist()
    one, same, other = (
        trainer._replay.draw(16, 2, seed).observation.numpy().tolist()
        for seed in ((0, 1), (0, 1), (0, 2))
    )
    assert one == same != other
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("name", ["gru", "gpt2"])
def test_a_resumed_run_is_the_run_without_a_stop(name, tmp_path):
    """Six steps, or three, a checkpoint, a fresh trainer and three more."""
    options = {"epsilon": Linear(1.0, 0.0, steps=5), "replay_capacity": 100}

    def run(folder, *stops):
        for stop in stops:
            trainer = make(name, **options)
            checkpoint = Checkpoint(trainer, tmp_path / folder)
            checkpoint.restore()
            logs = trainer.fit(toy.EXAMPLES, stop, 8, [checkpoint])
        return trainer, logs[-1]

    straight, logs = run("straight", 6)
    resumed, other_logs = run("resumed", 3, 6)
    for clock in ("seconds", "tokens_per_second"):
        logs.pop(clock), other_logs.pop(clock)
    assert logs == other_logs
    for one, other in (
        (straight.policy, resumed.policy),
        (straight._target, resumed._target),
    ):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_too_many_tokens_are_refused():
    with pytest.raises(TokenRLError, match="smaller vocabulary.*dqn") as found:
        make(largest_vocabulary=20)
    assert str(tiny.tokenizer().vocabulary_size()) in str(found.value)


def test_kl_is_refused_by_name():
    with pytest.raises(TokenRLError, match="Reward kl.*leave it out"):
        make(reward="'tests.support.toy:Count' - 0.1 * kl")


@pytest.mark.parametrize(
    "option",
    [
        {"options": TrainerOptions(accumulation=2)},
        {"exploration": Exploration(uniform=0.1)},
    ],
)
def test_what_q_learning_does_not_do_is_refused(option):
    policy = tiny.policy("gru")
    adam = keras.optimizers.Adam()
    with pytest.raises(TokenRLError, match="accumulation=1|dqn.epsilon="):
        QTrainer(policy, toy.Count(), Dqn(), adam, **option)


def test_the_report_gets_its_samples():
    trainer = make()
    shown = samples(trainer, toy.EXAMPLES[:2])
    for row in shown:
        assert len(row["advantage"]) == len(row["tokens"])
        np.testing.assert_allclose(row["kl"], 0, atol=1e-4)
