"""The same trainer, algorithms and rewards teach labels as they teach text."""

import keras
import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl import algorithms, evaluation, rewards
from tf_tokenrl.flow import Example
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.options import TrainerOptions
from tf_tokenrl.training.trainer import Trainer
from tf_tokenrl.training.updates.adam import Adam

TEXTS = [
    "the name",
    "open a given file",
    "return the number of a list",
    "value or name",
    "a file",
    "list the given value",
    "open the list",
    "of a name",
]
TAG_OF = {"name": "B-X", "file": "B-X", "given": "I-X"}


LABEL_OF = {"the": "B-X", "open": "I-X", "a": "B-X"}


def examples(unit="word"):
    """Tags that a word decides, or a label that the first word decides."""
    if unit == "text":
        return [Example(t, (LABEL_OF.get(t.split()[0], "O"),)) for t in TEXTS]
    return [
        Example(t, (" ".join(TAG_OF.get(w, "O") for w in t.split()),))
        for t in TEXTS
    ]


def accuracy(policy):
    metrics = {"accuracy": rewards.get("token_accuracy")}
    data = examples(policy.unit)
    return evaluation.evaluate(policy, data, metrics)["accuracy"].mean


def learn(seed=0, steps=60):
    policy = tiny.label_policy(seed=seed, rough=False)
    trainer = Trainer(
        policy,
        reward=rewards.parse("token_accuracy(rate=False) - 0.01 * kl"),
        algorithm=algorithms.get("reinforce", discount=0.0),
        optimizer=keras.optimizers.Adam(1e-2, epsilon=1e-5),
        reference=policy.frozen_copy(),
        options=TrainerOptions(seed=seed),
    )
    before = accuracy(policy)
    logs = trainer.fit(examples(), steps, batch_size=32)
    return before, accuracy(policy), logs


def test_tags_are_learned_from_rewards_alone():
    before, after, logs = learn()
    assert before < 0.8 and after >= 0.95
    assert abs(logs[0]["kl"]) < 1e-4 < logs[-1]["kl"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_of_texts_are_learned_by_ppo(seed):
    """With an entropy bonus, else the commonest label is all that is left.

    A fresh encoder gives all texts nearly one state, so that the first thing
    learned is the same for all of them: half of them have that label.
    """
    steps = 100
    policy = tiny.label_policy(unit="text", seed=seed, rough=False)
    rate = keras.optimizers.schedules.PolynomialDecay(5e-3, 2 * steps, 0.0)
    trainer = Trainer(
        policy,
        reward=rewards.parse("token_accuracy(rate=False) - 0.01 * kl"),
        algorithm=algorithms.parse(
            "ppo(discount=0.0, epochs=2, "
            "entropy_weight=linear(0.3, 0.0, steps=80))"
        ),
        optimizer=keras.optimizers.Adam(rate, epsilon=1e-5),
        reference=policy.frozen_copy(),
        options=TrainerOptions(seed=seed),
    )
    trainer.fit(examples("text"), steps, batch_size=32)
    assert accuracy(policy) == 1.0


@pytest.mark.slow
def test_tags_are_learned_from_good_answers():
    policy = tiny.label_policy()
    data = examples()
    learner = Learner(policy, Likelihood(prompt_weight=0.2), Adam(1e-2))
    before = learner.measure(data)["nll"]
    learner.fit(data, epochs=15, batch_size=4)
    after = learner.measure(data)["nll"]
    assert after < 0.3 * before and accuracy(policy) >= 0.95
    rollout = policy.encode_pairs(
        [e.prompt for e in data], [e.reference for e in data]
    )
    log_probs = policy.score(rollout).log_probs.numpy()[rollout.mask]
    assert after == pytest.approx(-np.mean(log_probs), rel=1e-4)
