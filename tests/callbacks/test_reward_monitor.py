"""What is not rewarded is looked at, and its fall is told."""

import csv

import keras
import numpy as np
import pytest

from tests.support import tiny, toy
from tf_tokenrl import evaluation
from tf_tokenrl.callbacks import CsvLog, EarlyStopping, RewardMonitor
from tf_tokenrl.callbacks.reward_monitor import shape_of
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Response

HELD_OUT = toy.EXAMPLES[:6]


class Scripted(RewardMonitor):
    """Answers come from a script instead of a policy."""

    def __init__(self, script, **settings):
        metrics = {"gold": toy.Count(token=5)}
        super().__init__(HELD_OUT, metrics, every=1, **settings)
        self.script = iter(script)
        self.set_model(keras.Model())
        self.model.stop_training = False

    def run(self, monkeypatch, rewards):
        monkeypatch.setattr(evaluation, "answer", self._answer)
        logs = [{"reward": float(reward)} for reward in rewards]
        for step, log in enumerate(logs):
            self.on_train_batch_end(step, log)
        return logs

    def _answer(self, policy, examples):
        ids = next(self.script)
        rows = [(*ids, 30 + row, 3) for row in range(len(examples))]
        responses = [Response("", i, ((0, 0),) * len(i), True) for i in rows]
        rollout = tiny.sample(tiny.shared_policy("gru"), ["a"] * len(examples))
        mask = np.ones((len(rows), len(rows[0])), bool)
        rollout = rollout._replace(mask=mask)
        return evaluation.Answers(examples, responses, rollout)


GOOD, BAD = (5, 5, 6, 7), (6, 8, 7, 9)


def test_a_metric_that_falls_while_the_reward_rises(monkeypatch, capsys):
    monitor = Scripted([GOOD, BAD, BAD, GOOD, BAD])
    logs = monitor.run(monkeypatch, [1, 2, 2, 2, 2])
    gold = [log["validation/gold"] for log in logs]
    assert gold == [2, 0, 0, 2, 0]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["Step 2", "Step 5"]
    assert "reward rose from 1 to 2" in lines[0]
    assert "gold, which is not rewarded, changed by -2" in lines[0]
    assert not monitor.model.stop_training


@pytest.mark.parametrize(
    ("script", "rewards"),
    [([GOOD, BAD], [2, 1]), ([BAD, GOOD], [1, 2]), ([GOOD, GOOD], [1, 2])],
)
def test_what_is_no_cause_to_warn(monkeypatch, capsys, script, rewards):
    Scripted(script).run(monkeypatch, rewards)
    assert not capsys.readouterr().err


def test_it_can_stop_the_run(monkeypatch, capsys):
    monitor = Scripted([GOOD, BAD, GOOD, BAD, BAD], stop=True)
    monitor.run(monkeypatch, [1, 2, 2, 2])
    assert not monitor.model.stop_training
    monitor.on_train_batch_end(4, {"reward": 2.0})
    assert monitor.model.stop_training
    assert "stopped, for gold fell" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((5, 5, 6, 7) * 3, "length went from 6 to 14"),
        ((5, 5, 5, 5), "repetition went from 0 to 0.25"),
    ],
)
def test_answers_of_another_shape(monkeypatch, capsys, answer, words):
    Scripted([GOOD, answer]).run(monkeypatch, [1, 1])
    assert words in capsys.readouterr().err


def test_the_shape_of_answers():
    def response(*ids):
        return Response("", ids, ((0, 0),) * len(ids), True)

    shape = shape_of([response(5, 6, 5, 6, 5, 3), response(5, 6, 3)])
    assert shape["length"] == 4.5
    assert shape["repetition"] == pytest.approx(1 / 5)
    assert shape["distinct_1"] == pytest.approx(3 / 9)
    assert shape["distinct_2"] == pytest.approx(4 / 7)
    assert shape_of([response(3)])["distinct_2"] == 0


def test_its_memory_is_plain(monkeypatch, capsys):
    whole = Scripted([GOOD, BAD, BAD], stop=True)
    whole.run(monkeypatch, [1, 2])
    other = Scripted([BAD], stop=True)
    other.restore(whole.state())
    assert other.state() == whole.state()
    assert not whole.model.stop_training
    other.run(monkeypatch, [2])
    assert other.model.stop_training


def test_arguments_that_cannot_be():
    with pytest.raises(TokenRLError, match="every=0"):
        RewardMonitor(HELD_OUT, {}, every=0)
    with pytest.raises(TokenRLError, match="not 0 and"):
        RewardMonitor([], {})


def test_curves_join_the_logs_and_early_stopping_can_watch(tmp_path):
    """The reward counts one token, the metric another: it must fall."""
    trainer = toy.trainer(
        "gru", "reinforce", learning_rate=5e-2, reference=None
    )
    monitor = RewardMonitor(
        HELD_OUT, {"words": toy.Count(token=9)}, every=4, stop=False
    )
    stopping = EarlyStopping("validation/words", patience=99)
    callbacks = [monitor, CsvLog(tmp_path / "log.csv"), stopping]
    trainer.fit(toy.EXAMPLES, 8, 8, callbacks=callbacks)
    with open(tmp_path / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("words", "length", "repetition", "distinct_1", "distinct_2")
    for name in names:
        filled = [r["step"] for r in rows if r[f"validation/{name}"]]
        assert filled == ["1", "4", "8"]
    metrics = {"words": toy.Count(token=9)}
    now = trainer.evaluate(HELD_OUT, metrics)["words"].mean
    assert float(rows[-1]["validation/words"]) == pytest.approx(now)
    assert stopping.state()["best"] is not None
