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
from tf_tokenrl.policies.base import Policy
from tf_tokenrl.training import data_order
from tf_tokenrl.training.updates.adam import Adam


def batches(
    policy: Policy,
    examples: Sequence[Example],
    batch_size: int,
    seed: int | None = None,
    prompt_weight: float = 0.0,
) -> tf.data.Dataset:
    """Prompts and preferred answers in batches for `policy.fit`.

    Rows of like length share a batch, so that little is padding.

    Args:
        policy: tokenises.
        examples: rows with at least one reference.
        batch_size: rows in a batch; the last one may be smaller.
        seed: order of rows and batches, anew each epoch; None keeps the
            order of `examples`.
        prompt_weight: weight of a prompt's token against an answer's; above
            0 a policy that writes learns the prompts as well.

    Raises:
        TokenRLError: there are no examples, or one is too long.
    """
    if not examples:
        raise TokenRLError("There are no examples to learn from.")
    pairs = policy.encode_pairs(
        [example.prompt for example in examples],
        [example.reference for example in examples],
    )
    prompts = _ragged(pairs.prompt_ids, pairs.prompt_mask)
    actions = _ragged(pairs.actions, pairs.mask)
    weights = answers = tf.ones_like(actions, tf.float32)
    if prompt_weight > 0.0 and policy.writes_text:
        learned = prompts[:, 1:]
        none = tf.zeros_like(learned, tf.float32)
        weights = tf.concat([none + prompt_weight, weights], axis=1)
        answers = tf.concat([none, answers], axis=1)
        actions = tf.concat([learned, actions], axis=1)
        prompts = prompts[:, :1]
    columns = {
        "prompt_ids": prompts,
        "actions": actions,
        "weights": weights,
        "answers": answers,
    }
    lengths = (prompts.row_lengths() + actions.row_lengths()).numpy()
    order = _batch_rows(lengths, batch_size, seed)
    found = order.map(lambda rows: _dense(columns, rows)).prefetch(2)
    return found.with_options(_untuned())


def _untuned() -> tf.data.Options:
    """Without tf.data's tuner, whose thread an iterator waits for at its end.

    In TensorFlow 2.21 the wait lasts until the tuner wakes by itself, 10, 20,
    40 ms and so on after it began: an epoch of 23 seconds took 40.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def _dense(columns: dict[str, tf.RaggedTensor], rows) -> dict[str, tf.Tensor]:
    taken = {name: tf.gather(value, rows) for name, value in columns.items()}
    masks = {
        "prompt_mask": tf.sequence_mask(taken["prompt_ids"].row_lengths()),
        "mask": tf.sequence_mask(taken["actions"].row_lengths()),
    }
    return {name: value.to_tensor() for name, value in taken.items()} | masks


def _batch_rows(lengths, batch_size: int, seed: int | None) -> tf.data.Dataset:
    """Batches of row numbers; a fresh order each time it is gone through."""
    if seed is None:
        return tf.data.Dataset.range(len(lengths)).batch(batch_size)
    epoch = iter(range(2**31))

    def shuffled():
        rng = np.random.default_rng((seed, next(epoch)))
        rows = rng.permutation(len(lengths)).astype(np.int32)
        yield from data_order.batches(rng, rows, lengths, batch_size)

    spec = tf.TensorSpec([None], tf.int32)
    order = tf.data.Dataset.from_generator(shuffled, output_signature=spec)
    count = -(-len(lengths) // batch_size)
    return order.apply(tf.data.experimental.assert_cardinality(count))


def nll(
    policy: Policy, examples: Sequence[Example], batch_size: int = 128
) -> float:
    """Negative log-likelihood of the references, nats per token."""
    if not policy.compiled:
        policy.compile()
    logs = policy.evaluate(
        batches(policy, examples, batch_size), verbose=0, return_dict=True
    )
    return float(logs["nll"])


def optimizer(
    learning_rate: float, warmup: int, steps: int, weight_decay: float
) -> keras.optimizers.Optimizer:
    """AdamW: a linear warm-up, then half a cosine down to 0 at `steps`."""
    schedule = keras.optimizers.schedules.CosineDecay(
        learning_rate / warmup if warmup else learning_rate,
        max(steps - warmup, 1),
        warmup_target=learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    return Adam(
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


def _ragged(ids: np.ndarray, mask: np.ndarray) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(ids[mask], mask.sum(-1))
