"""Answers that can be read while a run goes on."""

import json
from types import SimpleNamespace

import tensorflow as tf

from tf_tokenrl.callbacks import AnswersLog
from tf_tokenrl.flow import Example, Response


def answers(step):
    return [
        (Example(f"p{row}", ("good",)), Response(f"a{step}", (), (), True), row)
        for row in range(3)
    ]


def go(path, steps, first=0, **options):
    trainer = SimpleNamespace(answers=[])
    log = AnswersLog(trainer, path, every=3, count=2, **options)
    log.set_params({"first_step": first})
    log.on_train_begin()
    for step in steps:
        trainer.answers = answers(step)
        log.on_train_batch_end(step - 1)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_first_step_and_every_third_are_written(tmp_path):
    rows = go(tmp_path / "samples.jsonl", range(1, 8))
    assert [row["step"] for row in rows] == [1, 1, 3, 3, 6, 6]
    assert rows[3] == {
        "step": 3,
        "prompt": "p1",
        "answer": "a3",
        "reference": "good",
        "reward": 1.0,
    }


def test_a_resumed_run_and_one_that_goes_back_drop_what_is_undone(tmp_path):
    path = tmp_path / "samples.jsonl"
    go(path, range(1, 8))
    rows = go(path, [5, 6, 4, 5, 6], first=4)
    assert [row["step"] for row in rows] == [1, 1, 3, 3, 6, 6]
    assert [row["step"] for row in go(path, [1])] == [1, 1]


def test_tensorboard_shows_them_as_text(tmp_path):
    go(tmp_path / "samples.jsonl", [1], tensorboard=tmp_path / "events")
    (file,) = (tmp_path / "events").iterdir()
    tags = {
        value.tag
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    }
    assert tags == {"answers"}
