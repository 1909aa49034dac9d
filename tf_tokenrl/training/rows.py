"""Examples as numbers: columns of any length, put into padded batches."""

from collections.abc import Mapping, Sequence

import numpy as np

from tf_tokenrl.training import data_order

PRESENT = "present"  # False on rows that only fill a batch up


class Rows:
    """Columns of sequences, one sequence for each row.

    Args:
        columns: sequences by name; of all columns row `i` belongs together.

    Example:

    ```python
    rows = Rows({"ids": [np.array([5, 6]), np.array([7])]})
    batch = rows.batch(np.array([0, 1]), 2)
    batch["ids"]       # [[5, 6], [7, 0]]
    batch["ids_mask"]  # [[True, True], [True, False]]
    ```
    """

    def __init__(self, columns: Mapping[str, Sequence[np.ndarray]]):
        self.columns = dict(columns)
        self.lengths = np.sum(
            [[len(x) for x in column] for column in columns.values()], axis=0
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: np.ndarray, multiple: int) -> dict[str, np.ndarray]:
        """Rows `[B, L]` padded on the right, and which places are theirs.

        Args:
            rows: numbers of rows.
            multiple: B is a multiple of it; the first row is repeated as
                often as needed, with `present` False.
        """
        filled = -(-len(rows) // multiple) * multiple
        taken = np.concatenate([rows, np.repeat(rows[:1], filled - len(rows))])
        found = {PRESENT: np.arange(filled) < len(rows)}
        for name, column in self.columns.items():
            padded, mask = _padded([column[row] for row in taken])
            found |= {name: padded, f"{name}_mask": mask}
        return found

    def epoch(self, seed: int, epoch: int, size: int) -> list[np.ndarray]:
        """Row numbers of every batch of an epoch.

        Rows of similar length share a batch, so that little is padding; which
        they are, and the order of batches, is drawn for each epoch.
        """
        rng = np.random.default_rng((seed, epoch))
        rows = rng.permutation(len(self)).astype(np.int32)
        return data_order.batches(rng, rows, self.lengths, size)

    def in_order(self, size: int) -> list[np.ndarray]:
        """Row numbers of batches in the order of the rows."""
        rows = np.arange(len(self), dtype=np.int32)
        return [rows[i : i + size] for i in range(0, len(rows), size)]


def sequences(values: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """`[B, L]` without what the mask leaves out."""
    return [row[kept] for row, kept in zip(values, mask, strict=True)]


def _padded(column: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(x) for x in column])
    mask = np.arange(max(lengths.max(), 1))[None] < lengths[:, None]
    padded = np.zeros(mask.shape, column[0].dtype)
    padded[mask] = np.concatenate(column)
    return padded, mask
