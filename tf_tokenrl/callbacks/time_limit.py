"""End a run when its time is up."""

import time

import keras


class TimeLimit(keras.callbacks.Callback):
    """Ends the run with the step in which the time is up.

    Args:
        seconds: from the beginning of training; compiling counts.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self._end = time.monotonic() + self.seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() > self._end:
            self.model.stop_training = True
