"""A run that falls apart goes back, slows down, and says why."""

import csv
import os

import keras
import numpy as np
import pytest

from tests.support import toy
from tf_tokenrl.callbacks import CsvLog, DivergenceGuard
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.errors import TokenRLError

GOOD = {
    "reward": 1.0,
    "kl": 2.0,
    "length": 10.0,
    "approximate_kl": 0.01,
    "ratio_clipped": 0.1,
    "entropy": 3.0,
    "gradient_norm": 1.0,
}


class Requests:
    """Notes what is asked of a checkpoint."""

    folder = "here"

    def __init__(self):
        self.asked = []

    def roll_back_after_step(self, step, factor):
        self.asked.append((step, factor))

    def roll_back(self, step, factor):
        self.asked.append("last")
        return 7


def judge(*steps, **settings):
    """The guard after steps whose logs are GOOD but for what is given."""
    guard = DivergenceGuard(Requests(), **settings)
    for number, changed in enumerate(steps):
        guard.on_train_batch_end(number, GOOD | changed)
    return guard


@pytest.mark.parametrize(
    ("name", "logs", "words"),
    [
        ("kl", {"kl": 101.0}, "KL to the reference in nats per token is 10.1"),
        ("approximate_kl", {"approximate_kl": 1.1}, "KL to the policy of the"),
        ("ratio_clipped", {"ratio_clipped": 0.95}, "clipped ratios is 0.95"),
        ("entropy_rise", {"entropy": 6.1}, "rise of the entropy"),
        ("entropy_fall", {"entropy": 1e-5, "reward": 0.5}, "fall of the"),
        ("gradient_norm", {"gradient_norm": 101.0}, "its median is 101"),
    ],
)
def test_each_limit_names_its_cause(name, logs, words, capsys):
    good = [{}] * 12
    assert not judge(*good, *[logs] * 2).checkpoint.asked
    assert not judge(*good, logs, logs, {}, logs, logs).checkpoint.asked
    off = {name: None}
    assert not judge(*good, *[logs] * 3, limits=off).checkpoint.asked
    guard = judge(*good, *[logs] * 3)
    assert guard.checkpoint.asked == [(12 - 3, 0.5)]
    line = capsys.readouterr().err
    assert line.startswith("Step 15: ") and words in line
    assert line.count("\n") == 1 and "restore 1 of 3" in line


@pytest.mark.parametrize(
    "logs",
    [
        {"entropy": 1e-5},  # certain and right: a task that is solved
        {"entropy": 5.9},
        {"kl": -5.0},
        {"reward": -1e6},
        {"gradient_norm": 90.0},
    ],
)
def test_what_is_within_the_limits(logs):
    assert not judge(*[{}] * 12, *[logs] * 9).checkpoint.asked


def test_an_algorithm_without_a_log_is_not_judged_by_it():
    guard = DivergenceGuard(Requests())
    for step in range(20):
        guard.on_train_batch_end(step, {"reward": 1.0, "loss": 2.0})
    assert not guard.checkpoint.asked


def test_the_first_norms_are_no_measure():
    norms = [{"gradient_norm": 0.001}] * 5 + [{"gradient_norm": 5.0}] * 4
    assert not judge(*norms).checkpoint.asked


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_acts_at_once(value, capsys):
    guard = judge({}, {}, {"loss": value, "kl": value})
    assert guard.checkpoint.asked == [(3 - 1 - 3, 0.5)]
    assert "kl, loss is no finite" in capsys.readouterr().err


def test_it_gives_up(capsys):
    bad = [{"loss": np.nan}] * 2
    guard = judge(*bad, max_restores=2, factor=0.1)
    with pytest.raises(TokenRLError, match="after 2 restores") as caught:
        guard.on_train_batch_end(5, GOOD | {"loss": np.nan})
    assert guard.checkpoint.asked[-1] == "last"
    message = str(caught.value)
    assert "step 6" in message and "of step 7" in message
    assert "--learning-rate" in message and "\n" not in message


def test_logs_tell_the_restores():
    guard = DivergenceGuard(Requests())
    logs = dict(GOOD)
    guard.on_train_batch_end(0, logs)
    assert logs["restores"] == 0
    logs = GOOD | {"loss": np.nan}
    guard.on_train_batch_end(1, logs)
    assert logs["restores"] == 1


def test_state_is_plain_and_going_back_undoes_no_restore():
    guard = judge(*[{}] * 3, {"kl": 999.0})
    before = guard.state()
    guard.restores = 2
    guard.restore(before)
    assert guard.state() == before | {"restores": 2}
    other = DivergenceGuard(Requests())
    other.restore(before | {"restores": 2})
    assert other.state() == guard.state()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_restores": 0}, "max_restores=0"),
        ({"patience": 0}, "patience=0"),
        ({"factor": 1.0}, "factor=1.0"),
        ({"limits": {"entropi_rise": 1.0}}, "entropy_rise"),
    ],
)
def test_arguments_that_cannot_be(settings, words):
    with pytest.raises(TokenRLError, match=words):
        DivergenceGuard(None, **settings)


class Break(keras.callbacks.Callback):
    """Spoils the weights once, before step number `step`."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if batch + 1 == self.step:
            self.step = None
            spoiled = [w * np.nan for w in self.model.get_weights()]
            self.model.set_weights(spoiled)


def guarded(folder, schedule=True, **settings):
    rate = keras.optimizers.schedules.PolynomialDecay(1e-2, 10, 0)
    trainer = toy.trainer(
        "gru", "reinforce", learning_rate=rate if schedule else 1e-2
    )
    checkpoint = Checkpoint(trainer, folder / "checkpoints", every=2)
    guard = DivergenceGuard(checkpoint, **settings)
    checkpoint.remembered = [guard]
    return trainer, [guard, CsvLog(folder / "log.csv"), checkpoint]


def rows(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "schedule", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_a_run_is_saved(tmp_path, capsys, schedule):
    """Broken before step 7, it is as if it went slower from step 4 on."""
    trainer, callbacks = guarded(tmp_path, schedule)
    logs = trainer.fit(toy.EXAMPLES, 8, 8, callbacks=[Break(7), *callbacks])
    assert "Step 7: " in capsys.readouterr().err
    assert trainer.finished_steps == 8 and len(logs) == 7 + 4
    found = rows(tmp_path)
    assert [row["step"] for row in found] == list("12345678")
    assert [row["restores"] for row in found] == ["0.0"] * 4 + ["1.0"] * 4
    rates = [float(row["learning_rate"]) for row in found]
    whole = np.full(8, 1e-2)
    if schedule:
        whole *= 1 - np.arange(1, 9) / 10
    np.testing.assert_allclose(rates[:4], whole[:4], rtol=1e-5)
    np.testing.assert_allclose(rates[4:], whole[4:] / 2, rtol=1e-5)
    weights = trainer.policy.get_weights()
    assert all(np.isfinite(w).all() for w in weights)
    other, callbacks = guarded(tmp_path / "other", schedule)
    other.fit(toy.EXAMPLES, 4, 8)
    other.learning_rate.lower(0.5)
    other.fit(toy.EXAMPLES, 8, 8)
    for a, b in zip(weights, other.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_what_was_lowered_stays_lowered_when_resumed(tmp_path):
    trainer, callbacks = guarded(tmp_path)
    trainer.fit(toy.EXAMPLES, 3, 8, callbacks=[Break(2), *callbacks])
    trainer.fit(toy.EXAMPLES, 5, 8)
    again, (guard, _, checkpoint) = guarded(tmp_path)
    assert checkpoint.restore() == 3
    assert guard.restores == 1 and again.learning_rate.factor == 0.5
    again.fit(toy.EXAMPLES, 5, 8)
    for a, b in zip(
        trainer.policy.get_weights(), again.policy.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_cannot_be_saved_ends_with_its_last_good_weights(
    tmp_path, capsys
):
    trainer, callbacks = guarded(tmp_path, max_restores=1)
    start = trainer.policy.get_weights()
    breaking = [Break(2), Break(3)]
    with pytest.raises(TokenRLError, match="diverged in step 3.*1 restores"):
        trainer.fit(toy.EXAMPLES, 9, 8, callbacks=[*breaking, *callbacks])
    callbacks[1].on_train_end()
    names = os.listdir(tmp_path / "checkpoints")
    assert names == ["step-00000000-0001"]
    again, (_, _, checkpoint) = guarded(tmp_path, max_restores=1)
    assert checkpoint.restore() == 0
    for a, b in zip(start, again.policy.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
