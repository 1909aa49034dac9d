"""One line that says how the run goes and when it will be done."""

import shutil
import sys
from typing import TextIO

import keras
from tqdm import tqdm

_COLUMNS = 100
_SHOWN = (
    ("reward", "reward {:+.3f}"),
    ("nll", "nll {:.3f}"),
    ("kl", "kl {:.3f}"),
    ("entropy", "entropy {:.2f}"),
    ("length", "length {:.1f}"),
    ("tokens_per_second", "{:.0f} tok/s"),
)


class ProgressBar(keras.callbacks.Callback):
    """Shows steps, reward, KL, entropy, length, speed and time left.

    On a terminal one line of at most 100 columns is redrawn in place. Where
    the output is a pipe or a file, a plain line is added now and then.

    Args:
        interval: least seconds between two plain lines.
        file: where to write, `sys.stderr` by default.
    """

    def __init__(self, interval: float = 10.0, file: TextIO | None = None):
        super().__init__()
        self.interval = interval
        self.file = file

    def on_train_begin(self, logs=None):
        file = self.file or sys.stderr
        run = {
            "total": self.params["steps"],
            "initial": self.params.get("first_step", 0),
            "file": file,
        }
        self._bar = (
            tqdm(
                **run,
                ncols=min(_COLUMNS, shutil.get_terminal_size().columns),
                bar_format="{n_fmt}/{total_fmt} {bar} {desc}  {remaining} left",
            )
            if file.isatty()
            else _Lines(
                **run,
                ncols=_COLUMNS,
                bar_format="{n_fmt}/{total_fmt}  {desc}  {remaining} left",
                mininterval=self.interval,
                miniters=1,
                leave=False,
            )
        )

    def on_train_batch_end(self, batch, logs=None):
        self._bar.set_description_str(_summary(logs or {}), refresh=False)
        self._bar.n = batch  # a run may have gone back
        self._bar.update()

    def on_train_end(self, logs=None):
        self._bar.refresh()
        self._bar.close()


class _Lines(tqdm):
    """A bar that adds a line where others go back to redraw theirs."""

    _shown = None

    def display(self, msg=None, pos=None):
        # An empty message asks to wipe the bar: a line stays.
        if msg != "" and self.desc and self.n != self._shown:
            self._shown = self.n
            self.fp.write(f"{self}\n")
            self.fp.flush()


def _summary(logs: dict[str, float]) -> str:
    known = (f.format(logs[name]) for name, f in _SHOWN if name in logs)
    return "  ".join(known)
