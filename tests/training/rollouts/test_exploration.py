"""Straying on purpose: sampled, scored and compared under one distribution."""

import numpy as np
import pytest

from tests.support import table, toy
from tf_tokenrl.algorithms.ppo import Ppo
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.schedules import get as schedule
from tf_tokenrl.training.rollouts import exploration
from tf_tokenrl.training.rollouts.exploration import Exploration

HOT = Exploration(
    temperature=schedule("linear", 2.0, 0.5, steps=3),
    uniform=schedule("linear", 0.3, 0.0, steps=3),
)


@pytest.fixture(scope="module")
def trainer():
    return toy.trainer(policy=table.policy(), exploration=HOT)


@pytest.mark.parametrize("step", [0, 1, 3])
def test_the_ratio_starts_at_1_and_kl_at_0_whatever_the_step(trainer, step):
    batch, _ = trainer.collect(toy.EXAMPLES, step)
    rollout, settings = batch.rollout, batch.settings
    assert settings["temperature"] == pytest.approx(2 - 0.5 * step)
    assert settings["uniform"] == pytest.approx(0.3 - 0.1 * step)
    scores = trainer.policy.score(rollout, **settings)
    mask = rollout.mask
    np.testing.assert_allclose(
        scores.log_probs.numpy()[mask], rollout.log_probs[mask], atol=1e-5
    )
    np.testing.assert_allclose(
        rollout.reference_log_probs[mask], rollout.log_probs[mask], atol=1e-5
    )
    other = trainer.policy.score(rollout).log_probs.numpy()
    assert np.abs(other[mask] - rollout.log_probs[mask]).max() > 1e-2


def test_the_first_update_sees_the_ratio_1(trainer):
    batch, _ = trainer.collect(toy.EXAMPLES, 1)
    metrics = trainer._update(batch, np.arange(8))
    assert abs(metrics["approximate_kl"]) < 1e-8
    assert metrics["ratio_clipped"] == 0


def test_the_log_prob_is_that_of_the_mixture(trainer):
    policy, (batch, _) = trainer.policy, trainer.collect(toy.EXAMPLES, 0)
    rollout, row = batch.rollout, 2
    before = np.r_[policy.answer_start_id, rollout.actions[row, :-1]]
    logits = policy.table(before).numpy().astype(np.float64) / 2.0
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    mixed = 0.7 * p + 0.3 / p.shape[-1]
    chosen = mixed[np.arange(len(before)), rollout.actions[row]]
    mask = rollout.mask[row]
    np.testing.assert_allclose(
        rollout.log_probs[row][mask], np.log(chosen)[mask], atol=1e-5
    )
    entropy = -(mixed * np.log(mixed)).sum(-1)
    scores = policy.score(rollout, **batch.settings)
    np.testing.assert_allclose(
        scores.entropy[row][mask], entropy[mask], atol=1e-5
    )


def test_an_expression_is_read_and_written():
    text = "exploration(temperature=0.7, uniform=linear(0.1, 0.0, steps=5))"
    found = exploration.parse(text)
    assert found == Exploration(
        temperature=0.7, uniform=schedule("linear", 0.1, 0.0, steps=5)
    )
    assert exploration.parse(repr(found).lower()) == found
    assert Exploration().at(7, 0.9) == {"temperature": np.float32(0.9)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exploration(temperature=0)", "temperature is 0"),
        ("exploration(uniform=1.0)", "uniform is 1.0"),
        ("exploration(uniform=-0.1)", "uniform is -0.1"),
        ("exploration(temperature='hot')", "temperature must be"),
        ("exploration(heat=1)", "heat.*temperature, uniform"),
        ("explore(uniform=0.1)", "write options by name"),
    ],
)
def test_impossible_options_are_named(text, words):
    with pytest.raises(TokenRLError, match=words):
        exploration.parse(text)


def test_a_schedule_that_leaves_its_bounds_is_named_with_its_step():
    cooling = Exploration(temperature=schedule("linear", 1.0, -1.0, steps=4))
    assert cooling.at(1, 1.0)["temperature"] == 0.5
    with pytest.raises(TokenRLError, match="step 2"):
        cooling.at(2, 1.0)


def test_the_default_is_the_policy_itself():
    trainer = toy.trainer(algorithm=Ppo(), policy=table.policy(temperature=0.7))
    batch, _ = trainer.collect(toy.EXAMPLES, 0)
    mask = batch.rollout.mask
    assert set(batch.settings) == {"temperature"}
    scores = trainer.policy.score(batch.rollout).log_probs.numpy()
    np.testing.assert_allclose(
        scores[mask], batch.rollout.log_probs[mask], atol=1e-5
    )
