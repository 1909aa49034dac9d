"""Run by test_q_learning.py, with Keras 2 chosen for TF-Agents."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tests.training import test_label_learning
from tests.training.q_learning.seen import observations
from tf_tokenrl import evaluation, rewards
from tf_tokenrl.schedules.linear import Linear
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.q_learning.dqn import Dqn
from tf_tokenrl.training.q_learning.q_values import q_values
from tf_tokenrl.training.q_learning.trainer import QTrainer

BEST = 8.0  # the token that counts, eight times, and no stop


def learn(seed, steps=60):
    policy = tiny.policy("gru", seed=seed)
    trainer = QTrainer(
        policy,
        toy.Count(),
        Dqn(epsilon=Linear(1.0, 0.05, steps=30)),
        keras.optimizers.Adam(1e-2, epsilon=1e-5),
        options=TrainerOptions(seed=seed),
    )
    trainer.fit(toy.EXAMPLES, steps, batch_size=8)
    return trainer


@pytest.fixture(scope="module")
def learned():
    return learn(0, steps=120)


def reward(trainer):
    return trainer.evaluate(toy.EXAMPLES, {"count": toy.Count()})["count"].mean


def test_the_best_answer_is_found(learned):
    before = tiny.policy("gru", seed=0)
    metrics = {"count": toy.Count()}
    start = evaluation.evaluate(before, toy.EXAMPLES, metrics)["count"].mean
    assert start < 0.5 * BEST
    assert reward(learned) >= 0.95 * BEST


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_the_seed(seed):
    assert reward(learn(seed)) >= 0.95 * BEST


def test_q_is_what_is_still_to_come(learned):
    """V(s_t) = tokens left, each worth 1, for there is no discount."""
    values = evaluation.answer(learned.policy, toy.EXAMPLES).rollout.values
    np.testing.assert_allclose(
        values, np.broadcast_to(np.arange(BEST, 0, -1), values.shape), atol=0.5
    )


def test_the_exported_policy_is_the_trained_network(learned, tmp_path):
    policy = learned.policy
    policy.export(tmp_path / "q" / "1")
    served = tf.saved_model.load(str(tmp_path / "q" / "1")).signatures
    prompts = [example.prompt for example in toy.EXAMPLES]
    rows = len(prompts)
    answers = served["serving_default"](
        prompt=tf.constant(prompts),
        seed=tf.zeros([rows], tf.int64),
        temperature=tf.zeros([rows]),
        max_new_tokens=tf.zeros([rows], tf.int32),
        top_k=tf.zeros([rows], tf.int32),
        top_p=tf.ones([rows]),
    )
    rollout = evaluation.answer(policy, toy.EXAMPLES).rollout
    np.testing.assert_array_equal(answers["token_ids"], rollout.actions)
    for t in range(rollout.mask.shape[1]):
        here = rollout.mask[:, t]
        seen = observations(policy, rollout, t)
        chosen, best = (x.numpy()[here] for x in learned._best(seen))
        np.testing.assert_array_equal(chosen, rollout.actions[here, t])
        q = q_values(policy, seen).numpy()[here]
        np.testing.assert_allclose(best, q.max(-1), atol=1e-5)
        values = answers["values"].numpy()[here, t]
        np.testing.assert_allclose(values, best, atol=1e-4)
        log_probs = tf.nn.log_softmax(q).numpy().max(-1)
        found = answers["log_probs"].numpy()[here, t]
        np.testing.assert_allclose(found, log_probs, atol=1e-4)


@pytest.mark.parametrize("unit", ["word", "text"])
def test_labels_are_learned(unit):
    """One label after the other; what one earns says nothing of the next."""
    examples = test_label_learning.examples(unit)
    policy = tiny.label_policy(unit=unit, rough=False)
    reward = rewards.get("token_accuracy", rate=False)
    trainer = QTrainer(
        policy,
        reward,
        Dqn(discount=0.0, epsilon=Linear(1.0, 0.05, steps=30)),
        keras.optimizers.Adam(1e-2, epsilon=1e-5),
    )
    trainer.fit(examples, 60, batch_size=8)
    found = trainer.evaluate(examples, {"right": reward})["right"].mean
    best = np.mean([len(e.reference.split()) for e in examples])
    assert found >= 0.95 * best
