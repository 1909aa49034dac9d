"""Maximum likelihood with Keras `fit`: the data side of the warm start."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.models.policy import Policy

_WINDOW = 8  # batches sorted by length together


def batches(
    policy: Policy,
    examples: Sequence[Example],
    batch_size: int,
    seed: int | None = None,
) -> tf.data.Dataset:
    """Prompts and preferred answers in batches for `policy.fit`.

    Rows of like length share a batch, so that little is padding.

    Args:
        policy: tokenises.
        examples: rows with at least one reference.
        batch_size: rows in a batch; the last one may be smaller.
        seed: order of rows and batches, anew each epoch; None keeps the
            order of `examples`.

    Raises:
        TokenRLError: there are no examples, or one is too long.
    """
    if not examples:
        raise TokenRLError("There are no examples to learn from.")
    pairs = policy.encode_pairs(
        [example.prompt for example in examples],
        [example.reference for example in examples],
    )
    columns = {
        "prompt_ids": _ragged(pairs.prompt_ids, pairs.prompt_mask),
        "actions": _ragged(pairs.actions, pairs.mask),
    }
    lengths = pairs.prompt_mask.sum(-1) + pairs.mask.sum(-1)
    epoch = iter(range(2**31))

    def indices():
        rng = np.random.default_rng((seed, next(epoch)))
        yield from _order(rng, lengths, batch_size)

    def gather(rows):
        taken = {k: tf.gather(v, rows) for k, v in columns.items()}
        return {
            "prompt_ids": taken["prompt_ids"].to_tensor(),
            "prompt_mask": tf.sequence_mask(taken["prompt_ids"].row_lengths()),
            "actions": taken["actions"].to_tensor(),
            "mask": tf.sequence_mask(taken["actions"].row_lengths()),
        }

    spec = tf.TensorSpec([None], tf.int32)
    if seed is None:
        order = tf.data.Dataset.range(len(examples)).batch(batch_size)
    else:
        order = tf.data.Dataset.from_generator(indices, output_signature=spec)
        steps = -(-len(examples) // batch_size)
        order = order.apply(tf.data.experimental.assert_cardinality(steps))
    return order.map(gather).prefetch(2)


def nll(
    policy: Policy, examples: Sequence[Example], batch_size: int = 128
) -> float:
    """Negative log-likelihood of the references, nats per token."""
    policy.compile()
    logs = policy.evaluate(
        batches(policy, examples, batch_size), verbose=0, return_dict=True
    )
    return float(logs["nll"])


def optimizer(
    learning_rate: float, warmup: int, weight_decay: float
) -> keras.optimizers.Optimizer:
    """AdamW with a linear warm-up and clipped gradients."""
    schedule = keras.optimizers.schedules.PolynomialDecay(
        learning_rate / max(warmup, 1), max(warmup, 1), learning_rate
    )
    return keras.optimizers.AdamW(
        schedule, weight_decay=weight_decay, beta_2=0.98, global_clipnorm=1.0
    )


def callbacks(
    out: Path, patience: int, seconds: float
) -> list[keras.callbacks.Callback]:
    """A log, early stopping on the validation loss, and a time limit."""
    out.mkdir(parents=True, exist_ok=True)
    watching = [
        keras.callbacks.CSVLogger(out / "history.csv"),
        keras.callbacks.EarlyStopping(
            "val_nll", patience=patience, restore_best_weights=True, mode="min"
        ),
    ]
    return [*watching, TimeLimit(seconds)] if seconds > 0 else watching


class TimeLimit(keras.callbacks.Callback):
    """Ends `fit` with the batch in which the time is up."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def on_train_begin(self, logs=None):
        self._end = time.monotonic() + self.seconds

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() > self._end:
            self.model.stop_training = True


def verbosity() -> int:
    """Keras' bar on a terminal, a line per epoch elsewhere."""
    return 1 if sys.stdout.isatty() else 2


def _order(rng, lengths: np.ndarray, batch_size: int):
    """Shuffled batches of row numbers, each of rows of like length."""
    rows = rng.permutation(len(lengths)).astype(np.int32)
    window = _WINDOW * batch_size
    taken = []
    for start in range(0, len(rows), window):
        part = rows[start : start + window]
        part = part[np.argsort(lengths[part], kind="stable")]
        taken += [
            part[i : i + batch_size] for i in range(0, len(part), batch_size)
        ]
    for index in rng.permutation(len(taken)):
        yield taken[index]


def _ragged(ids: np.ndarray, mask: np.ndarray) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(ids[mask], mask.sum(-1))
