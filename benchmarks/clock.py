"""When the steps of a run ended."""

import time

import keras


class Clock(keras.callbacks.Callback):
    """Looks at the clock when training begins and after each step."""

    def __init__(self):
        super().__init__()
        self._ticks: list[float] = []

    def on_train_begin(self, logs=None):
        """The clock starts."""
        self._ticks = [time.perf_counter()]

    def on_train_batch_end(self, batch, logs=None):
        """A step is over, everything between two steps included."""
        self._ticks.append(time.perf_counter())

    @property
    def seconds(self) -> list[float]:
        """Of each step."""
        pairs = zip(self._ticks, self._ticks[1:], strict=False)
        return [after - before for before, after in pairs]
