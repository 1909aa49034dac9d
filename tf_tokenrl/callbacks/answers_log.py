"""Answers of the run to read while it goes on."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from tf_tokenrl import files
from tf_tokenrl.flow import Example, Response


class AnswersLog(keras.callbacks.Callback):
    """Writes some answers of a step and what they earned, as JSON Lines.

    Those of the first step and of each `every`-th: `step`, `prompt`,
    `answer`, `reference` and `reward`. A resumed run keeps the rows up to its
    checkpoint. TensorBoard shows the same under "Text".

        AnswersLog(trainer, "runs/rl/samples.jsonl", every=10)

    Args:
        trainer: has the `answers` of its last step.
        path: the file.
        every: steps between two looks.
        count: answers at a time.
        tensorboard: a folder for TensorBoard, None for none.
    """

    def __init__(
        self,
        trainer,
        path: str | os.PathLike,
        every: int = 10,
        count: int = 4,
        tensorboard: str | os.PathLike | None = None,
    ):
        super().__init__()
        self.trainer = trainer
        self.path = Path(path)
        self.every = every
        self.count = count
        self.tensorboard = tensorboard
        self._last = 0

    def on_train_begin(self, logs=None):
        self._keep(self.params.get("first_step", 0))

    def on_train_batch_end(self, batch, logs=None):
        if batch < self._last:  # the run has gone back
            self._keep(batch)
        self._last = step = batch + 1
        if step == 1 or step % self.every == 0:
            answers = self.trainer.answers[: self.count]
            rows = [_row(step, *answer) for answer in answers]
            self._append(rows)
            self._show(step, rows)

    def _keep(self, steps: int) -> None:
        rows = []
        if steps and self.path.exists():
            lines = self.path.read_text("utf-8").splitlines()
            rows = [json.loads(line) for line in lines]
        kept = [row for row in rows if row["step"] <= steps]
        files.write_json_lines(self.path, kept)

    def _append(self, rows: Sequence[dict]) -> None:
        try:
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                for row in rows:
                    file.write(json.dumps(files.finite(row)) + "\n")
        except OSError as error:
            raise files.unwritable(self.path, error, files.RESUME) from error

    def _show(self, step: int, rows: Sequence[dict]) -> None:
        if self.tensorboard is None:
            return
        text = "\n\n".join(
            f"**{row['reward']:.3g}** {row['prompt']}\n\n> {row['answer']}"
            for row in rows
        )
        writer = tf.summary.create_file_writer(os.fspath(self.tensorboard))
        with writer.as_default(step=step):
            tf.summary.text("answers", text)
        writer.close()


def _row(step: int, example: Example, response: Response, reward: float):
    return {
        "step": step,
        "prompt": example.prompt,
        "answer": response.text,
        "reference": example.reference,
        "reward": round(float(reward), 6),
    }
