"""A table of the run that a spreadsheet opens, one row per step."""

import csv
import os
from pathlib import Path

import keras

from tf_tokenrl import files

_STEP = "step"


class CsvLog(keras.callbacks.Callback):
    """Writes the logs of each step to a CSV file, safely under resume.

    The column `step` counts finished steps, so the first row is step 1 and a
    run resumed after 40 steps (`first_step` 40) keeps the rows up to step 40
    and drops those that were logged later but are in no checkpoint; so does
    a run that goes back by itself. A name
    that first turns up in a later step (a validation score) adds a column;
    rows without it leave it empty. Every row is written at once.

    Args:
        path: the file; missing folders are made. A run that starts at step 0
            replaces a file left by an earlier one.
    """

    def __init__(self, path: str | os.PathLike):
        super().__init__()
        self.path = Path(path)
        self._last = 0

    def on_train_begin(self, logs=None):
        self._keep(self.params.get("first_step", 0))

    def on_train_batch_end(self, batch, logs=None):
        if batch < self._last:
            self._keep(batch)
        self._last = batch + 1
        row = {_STEP: batch + 1, **(logs or {})}
        new = [name for name in row if name not in self._names]
        if new:
            self._rewrite([*self._names, *new], _rows(self.path))
        self._append(row)

    def _keep(self, steps: int):
        """Only the rows of the first `steps` steps."""
        self._last = steps
        rows = _rows(self.path) if steps else []
        rows = [row for row in rows if int(row[_STEP]) <= steps]
        self._rewrite(list(rows[0]) if rows else [_STEP], rows)

    def _append(self, row: dict):
        # Opened for each row: a file that stays open keeps what a full disk
        # refused, and tries to write it once more when it is closed.
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self._names, restval="").writerow(row)
        except OSError as error:
            raise files.unwritable(self.path, error, files.RESUME) from error

    def _rewrite(self, names: list[str], rows: list[dict[str, str]]):
        self._names = names
        with (
            files.replacing(self.path) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            writer.writerows(rows)


def _rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a log; a row cut short by a crash is not one."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values()]
