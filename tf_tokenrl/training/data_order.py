"""In which order examples are gone through, anew in each epoch."""

from collections.abc import Iterator, Sequence

import numpy as np

from tf_tokenrl.flow import Example

_WINDOW = 8  # batches sorted by length together


def stream(
    examples: Sequence[Example],
    first: int,
    count: int,
    seed: int,
    similar_lengths: bool = False,
) -> list[int]:
    """Rows number `first` to `first + count - 1` of an endless stream.

    Each epoch takes every example once, in an order drawn for it. With
    `similar_lengths` those of a step, numbers `i * count` to `i * count +
    count - 1`, have prompts of similar length, so that little is padding.
    """
    orders: dict[int, np.ndarray] = {}
    found = []
    for index in range(first, first + count):
        epoch, place = divmod(index, len(examples))
        if epoch not in orders:
            rng = np.random.default_rng((seed, epoch))
            orders[epoch] = (
                _similar_lengths(examples, rng, count, epoch)
                if similar_lengths
                else rng.permutation(len(examples))
            )
        found.append(int(orders[epoch][place]))
    return found


def minibatches(
    rows: int, epochs: int, parts: int, seed: tuple[int, ...]
) -> Iterator[np.ndarray]:
    """The rows of each update from one collected batch, in order.

    Args:
        rows: of the batch.
        epochs: passes over it, each in an order drawn for it.
        parts: updates in a pass.
        seed: of the orders, with the number of the pass.
    """
    size = rows // parts
    for epoch in range(epochs):
        order = np.random.default_rng((*seed, epoch)).permutation(rows)
        for start in range(0, size * parts, size):
            # Neighbours that answer one prompt share its reading.
            yield np.sort(order[start : start + size])


def batches(
    rng: np.random.Generator, rows: np.ndarray, lengths: np.ndarray, size: int
) -> list[np.ndarray]:
    """Shuffled rows in batches of similar length, in an order that is drawn.

    Args:
        rng: draws the order of the batches.
        rows: numbers of rows, in an order that was drawn.
        lengths: of all rows, by number.
        size: rows of a batch; the last may have fewer.
    """
    window = _WINDOW * size
    taken = []
    for start in range(0, len(rows), window):
        part = rows[start : start + window]
        part = part[np.argsort(lengths[part], kind="stable")]
        taken += [part[i : i + size] for i in range(0, len(part), size)]
    return [taken[index] for index in rng.permutation(len(taken))]


def _similar_lengths(examples, rng, count: int, epoch: int) -> np.ndarray:
    """One epoch; its first rows fill the step that the last one began."""
    lengths = np.array([len(example.prompt) for example in examples])
    rows = rng.permutation(len(examples))
    before = -epoch * len(rows) % count
    whole = len(rows) - (len(rows) - before) % count
    made = batches(rng, rows[before:whole], lengths, count)
    return np.concatenate([rows[:before], *made, rows[max(whole, before) :]])
