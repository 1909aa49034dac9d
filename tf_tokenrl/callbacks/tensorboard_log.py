"""The run's curves in TensorBoard."""

import os

import keras
import tensorflow as tf

from tf_tokenrl import files


class TensorBoardLog(keras.callbacks.Callback):
    """Writes every log as a scalar that TensorBoard draws over the steps.

    Steps count finished steps, as in `CsvLog`. A resumed run adds an event
    file to the folder; TensorBoard drops the points of the older file that
    the newer one writes again.

    Args:
        folder: where the event files go, `tensorboard --logdir <folder>`.
    """

    def __init__(self, folder: str | os.PathLike):
        super().__init__()
        self.folder = os.fspath(folder)

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(self.folder)

    def on_train_batch_end(self, batch, logs=None):
        try:
            # The writer flushes when it leaves the context, too.
            with self._writer.as_default(step=batch + 1):
                for name, value in (logs or {}).items():
                    tf.summary.scalar(name, value)
            self._writer.flush()
        except tf.errors.OpError as error:
            raise files.unwritable(self.folder, error, files.RESUME) from error

    def on_train_end(self, logs=None):
        self._writer.close()
