"""The log survives stopping, resuming and crashing."""

import csv

import keras
import pytest

from tests.support import disk
from tf_tokenrl.callbacks import CsvLog
from tf_tokenrl.errors import TokenRLError


def drive(path, steps, first_step=0, logs=lambda step: {"reward": step / 10}):
    callbacks = keras.callbacks.CallbackList(
        [CsvLog(path)], model=keras.Model(), steps=99, first_step=first_step
    )
    callbacks.on_train_begin()
    for step in range(first_step, steps):
        callbacks.on_train_batch_end(step, logs(step))
    return callbacks


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def steps(path):
    return [int(row["step"]) for row in read(path)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "log.csv"


def test_rows_count_finished_steps_and_are_there_at_once(path):
    callbacks = drive(path, 3)
    assert steps(path) == [1, 2, 3]
    assert [float(row["reward"]) for row in read(path)] == [0.0, 0.1, 0.2]
    callbacks.on_train_end()


def test_resume_equals_a_run_in_one_go(path, tmp_path):
    drive(path, 7).on_train_end()
    drive(path, 10, first_step=4).on_train_end()
    drive(tmp_path / "whole.csv", 10).on_train_end()
    assert path.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_row_cut_short_by_a_crash_is_dropped(path):
    drive(path, 12, logs=lambda step: {"reward": 1.0, "kl": 2.0}).on_train_end()
    whole = path.read_text()
    path.write_text(whole[: whole.index("12,") + 1])  # "1" of "12,..."
    drive(path, 13, first_step=11).on_train_end()
    assert steps(path) == list(range(1, 14))


def test_new_name_adds_a_column(path):
    def logs(step):
        score = {"validation/rouge": 0.5} if step == 2 else {}
        return {"reward": 1.0, **score}

    drive(path, 4, logs=logs).on_train_end()
    column = [row["validation/rouge"] for row in read(path)]
    assert column == ["", "", "0.5", ""]
    drive(path, 5, first_step=4, logs=logs).on_train_end()
    assert list(read(path)[0]) == ["step", "reward", "validation/rouge"]
    assert steps(path) == [1, 2, 3, 4, 5]


def test_new_run_replaces_the_log_of_an_old_one(path):
    drive(path, 5).on_train_end()
    drive(path, 1).on_train_end()
    assert steps(path) == [1]


def test_resume_without_a_log_starts_one(path):
    drive(path, 5, first_step=3).on_train_end()
    assert steps(path) == [4, 5]
    assert [file.name for file in path.parent.iterdir()] == ["log.csv"]


@pytest.mark.skipif(disk.resource is None, reason="needs file size limits")
def test_a_full_disk_is_one_sentence_and_the_log_goes_on(path):
    callbacks = drive(path, 3)
    size = path.stat().st_size
    with disk.full(size + 2), pytest.raises(TokenRLError, match="--resume"):
        callbacks.on_train_batch_end(3, {"reward": 0.3})
    del callbacks
    drive(path, 5, first_step=3)
    assert steps(path) == [1, 2, 3, 4, 5]
