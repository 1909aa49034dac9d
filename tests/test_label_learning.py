"""The same trainer, algorithms and rewards teach labels as they teach text."""

import keras
import numpy as np
import pytest

from tests import tiny
from tf_tokenrl import algorithms, catalog, evaluation, rewards, supervised
from tf_tokenrl.flow import Example
from tf_tokenrl.trainer import Trainer

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


def examples(unit):
    """Tags that a word decides, or a label that the first word decides."""
    if unit == "word":
        return [
            Example(t, (" ".join(TAG_OF.get(w, "O") for w in t.split()),))
            for t in TEXTS
        ]
    kinds = {"the": "B-X", "open": "I-X", "a": "B-X"}
    return [Example(t, (kinds.get(t.split()[0], "O"),)) for t in TEXTS]


REWARDS = {
    "word": "token_accuracy(rate=False)",
    "text": "exact_match(normalize=False)",
}
OPTIONS = {
    "reinforce": {"discount": 0.0},
    "actor_critic": {"discount": 0.0},
    "ppo": {"discount": 0.0, "epochs": 2},
}


def accuracy(policy, unit):
    metric = {"word": "token_accuracy", "text": REWARDS["text"]}[unit]
    metrics = {"accuracy": rewards.parse(metric)}
    return evaluation.evaluate(policy, examples(unit), metrics)["accuracy"].mean


def learn(name, unit, seed=0, steps=60):
    policy = tiny.label_policy(unit=unit, seed=seed, rough=False)
    trainer = Trainer(
        policy,
        reward=rewards.parse(f"{REWARDS[unit]} - 0.01 * kl"),
        algorithm=algorithms.get(name, **OPTIONS[name]),
        optimizer=keras.optimizers.Adam(1e-2, epsilon=1e-5),
        reference=policy.frozen_copy(),
        seed=seed,
    )
    before = accuracy(policy, unit)
    logs = trainer.fit(examples(unit), steps, batch_size=32)
    return before, accuracy(policy, unit), logs


@pytest.mark.parametrize(
    "name, unit, seed",
    [
        ("reinforce", "word", 0),
        ("ppo", "text", 0),
        *(
            pytest.param(name, unit, seed, marks=pytest.mark.slow)
            for name in OPTIONS
            for unit in ("word", "text")
            for seed in range(1, 4)
        ),
    ],
)
def test_labels_are_learned_from_rewards_alone(name, unit, seed):
    before, after, logs = learn(name, unit, seed)
    assert before < 0.8 and after >= 0.95
    assert abs(logs[0]["kl"]) < 1e-4 < logs[-1]["kl"]


def test_the_algorithms_above_are_all_there_are():
    assert set(OPTIONS) <= set(catalog.names(algorithms))


@pytest.mark.parametrize("unit", ["word", "text"])
def test_labels_are_learned_from_good_answers(unit):
    policy = tiny.label_policy(unit=unit)
    data = examples(unit)
    before = supervised.nll(policy, data)
    policy.compile(keras.optimizers.Adam(1e-2))
    batches = supervised.batches(policy, data, 4, seed=0, prompt_weight=0.2)
    policy.fit(batches, epochs=15, verbose=0)
    after = supervised.nll(policy, data)
    assert after < 0.3 * before and accuracy(policy, unit) >= 0.95
    rollout = policy.encode_pairs(
        [e.prompt for e in data], [e.reference for e in data]
    )
    log_probs = policy.score(rollout).log_probs.numpy()[rollout.mask]
    assert after == pytest.approx(-np.mean(log_probs), rel=1e-4)
