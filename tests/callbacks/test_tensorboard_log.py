"""What TensorBoard itself reads back."""

import keras
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.util import tensor_util

from tests.support import disk
from tf_tokenrl.callbacks import TensorBoardLog
from tf_tokenrl.errors import TokenRLError


def drive(folder, steps, first_step=0):
    callbacks = keras.callbacks.CallbackList(
        [TensorBoardLog(folder)],
        model=keras.Model(),
        steps=steps,
        first_step=first_step,
    )
    callbacks.on_train_begin()
    for step in range(first_step, steps):
        logs = {"reward": step / 4, "rewards/rouge": 1.0}
        callbacks.on_train_batch_end(step, logs)
    callbacks.on_train_end()


def points(folder, name):
    events = event_accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [
        (event.step, float(tensor_util.make_ndarray(event.tensor_proto)))
        for event in events.Tensors(name)
    ]


def test_scalars_come_back_at_finished_steps(tmp_path):
    drive(tmp_path, 3)
    assert points(tmp_path, "reward") == [(1, 0.0), (2, 0.25), (3, 0.5)]
    assert len(points(tmp_path, "rewards/rouge")) == 3


def test_resumed_run_adds_its_points(tmp_path):
    drive(tmp_path, 2)
    drive(tmp_path, 4, first_step=2)
    assert [step for step, _ in points(tmp_path, "reward")] == [1, 2, 3, 4]


@pytest.mark.skipif(disk.resource is None, reason="needs file size limits")
def test_a_full_disk_is_one_sentence(tmp_path):
    with disk.full(), pytest.raises(TokenRLError, match="--resume") as caught:
        drive(tmp_path, 30)
    message = str(caught.value)
    assert str(tmp_path) in message and "File too large" in message
    assert "\n" not in message and "{{" not in message
