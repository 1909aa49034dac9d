"""The two orders in which rotary embeddings pair the rows of a matrix."""

import numpy as np


def rotate_half(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of the interleaved rotary form in the order of halves.

    In each head rows 0 1 2 3 ... of the file are 0 n 1 n+1 ..., n half the
    head's size; they come back as 0 1 2 ... .
    """
    pairs = rows.reshape(heads, -1, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)
