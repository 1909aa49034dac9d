"""The line on a real terminal and in a pipe."""

import contextlib
import io
import os
import re

import keras
import pytest

from tf_tokenrl.callbacks import ProgressBar

LOGS = {
    "reward": -12.345,
    "kl": 1.2345,
    "entropy": 10.12,
    "length": 128.4,
    "tokens_per_second": 123456.0,
    "policy_loss": 7.0,
}


def drive(bar: ProgressBar, steps: int, first_step: int = 0, logs=LOGS):
    callbacks = keras.callbacks.CallbackList(
        [bar], model=keras.Model(), steps=steps, first_step=first_step
    )
    callbacks.on_train_begin()
    for step in range(first_step, steps):
        callbacks.on_train_batch_begin(step)
        callbacks.on_train_batch_end(step, logs)
    callbacks.on_train_end()


def piped(**options) -> list[str]:
    interval = options.pop("interval", 0.0)
    file = io.StringIO()
    drive(ProgressBar(interval=interval, file=file), **options)
    return file.getvalue().splitlines()


@pytest.fixture
def terminal(monkeypatch):
    """What a bar draws on a pseudo-terminal 200 columns wide."""
    monkeypatch.setenv("COLUMNS", "200")
    reader, writer = os.openpty()

    def show(**run) -> str:
        with os.fdopen(writer, "w") as file:
            drive(ProgressBar(file=file), **run)
        return "".join(_read_all(reader))

    yield show
    os.close(reader)


def _read_all(reader):
    with contextlib.suppress(OSError):  # how Linux tells of the end
        while part := os.read(reader, 1 << 16):
            yield part.decode(errors="replace")


def test_pipe_gets_plain_lines():
    lines = piped(steps=3)
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert "\r" not in "".join(lines)
    assert lines[-1] == (
        "3/3  reward -12.345  kl 1.234  entropy 10.12  length 128.4  "
        "123456 tok/s  00:00 left"
    )


def test_pipe_stays_sober_and_ends_with_the_last_step():
    lines = piped(steps=500, interval=3600.0)
    assert [line.split()[0] for line in lines] == ["500/500"]


def test_resumed_run_counts_on():
    lines = piped(steps=7, first_step=5)
    assert [line.split()[0] for line in lines] == ["6/7", "7/7"]


def test_logs_that_lack_are_left_out():
    (line,) = piped(steps=1, logs={"reward": 0.5})
    assert line == "1/1  reward +0.500  00:00 left"


def test_terminal_gets_one_line_that_fits(terminal):
    shown = terminal(steps=20000, first_step=19980)
    lines = [line for line in re.split(r"[\r\n]+", shown) if line.strip()]
    assert "20000/20000" in lines[-1]
    assert lines[-1].endswith("left")
    assert max(map(len, lines)) <= 100
    assert shown.count("\n") == 1
