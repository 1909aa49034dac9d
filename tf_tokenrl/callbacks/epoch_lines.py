"""One line for each pass over the data."""

import math

import keras

SHOWN = ("loss", "nll", "val_loss", "val_nll")


class EpochLines(keras.callbacks.Callback):
    """Prints how each epoch ended: "Epoch 3/8: nll 0.51, val_nll 0.60".

    Args:
        shown: logs of an epoch, in this order, as far as there are any.
    """

    def __init__(
        self, shown: tuple[str, ...] = ("loss", "nll", "val_loss", "val_nll")
    ):
        super().__init__()
        self.shown = shown

    def on_epoch_end(self, epoch, logs=None):
        known = {n: logs[n] for n in self.shown if n in (logs or {})}
        told = [f"{name} {value:.4f}" for name, value in known.items()]
        if "val_nll" in known:
            told.append(f"perplexity {perplexity(known['val_nll']):.2f}")
        total = self.params["epochs"]
        print(f"Epoch {epoch + 1}/{total}: {', '.join(told)}", flush=True)


def perplexity(nll: float) -> float:
    """exp of a negative log-likelihood, infinite where no float holds it."""
    return math.exp(nll) if nll < 700.0 else math.inf
