"""A rate that was lowered stays lowered in a run that goes on."""

import json

import keras
import pytest

from tests.support import table, toy
from tf_tokenrl.training.rollouts.exploration import Exploration


def trainer(rate, **settings):
    return toy.trainer(
        algorithm="reinforce",
        policy=table.policy(),
        learning_rate=rate,
        reference=None,
        **settings,
    )


def rate_of(trainer):
    return float(trainer.optimizer.learning_rate)


def test_a_restored_trainer_has_the_lowered_rate():
    """A rate that is a number is restored with the optimizer's variables."""
    schedule = keras.optimizers.schedules.PolynomialDecay
    first = trainer(schedule(0.1, 10, 0.0))
    first.learning_rate.lower(0.25)
    assert rate_of(first) == pytest.approx(0.025)
    second = trainer(schedule(0.1, 10, 0.0))
    second.restore(json.loads(json.dumps(first.state())))
    assert rate_of(second) == pytest.approx(0.025)
    second.learning_rate.lower(0.125)
    assert rate_of(second) == pytest.approx(0.0125)


def test_a_run_is_known_by_the_rate_it_began_with_and_how_it_strays():
    first = trainer(0.1)
    before = first.identity()
    first.learning_rate.lower(0.5)
    assert first.identity() == before
    assert trainer(0.2).identity() != before
    strays = trainer(0.1, exploration=Exploration(temperature=0.7))
    assert strays.identity() != before
    for name, value in (("accumulation", 2), ("gradient_clip", 0.5)):
        assert trainer(0.1, **{name: value}).identity() != before
