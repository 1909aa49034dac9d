"""Near copies of texts: found by MinHash, confirmed by Jaccard similarity.

Source: Broder (1997), "On the resemblance and containment of documents".
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from datasketch import MinHash, MinHashLSH
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tf_tokenrl.datasets.splits import loose_form

_SHINGLE = 3  # words
_LONGEST = 1500  # characters; near copies are alike from the start
_PERMUTATIONS = 48


class Copies(NamedTuple):
    """What `find_copies` says of N texts.

    Attributes:
        kept: indices of the texts that copy no earlier kept text, ascending.
        related: pairs of kept indices that are alike, but not copies.
    """

    kept: list[int]
    related: list[tuple[int, int]]


def find_copies(
    texts: Sequence[str], copy: float = 0.7, related: float = 0.5
) -> Copies:
    """Keep one text of each set of near copies.

    The similarity of two texts is |A & B| / |A | B|, A and B their sets of
    runs of three words, letter case and punctuation aside. Texts under three
    words are alike when they are equal.

    Args:
        texts: N texts; of a text and its copy, the earlier one is kept.
        copy: similarity from which a text is a copy, in (0, 1].
        related: similarity from which two texts are related, <= `copy`.

    Note: candidates come from 48 MinHash values, so that a pair that is just
        above `related` can be missed; no pair below a threshold is reported.
    """
    shingles = [shingle_set(text) for text in texts]
    sketches = MinHash.generator(
        shingles, num_perm=_PERMUTATIONS, hashfunc=lambda value: value
    )
    index = MinHashLSH(threshold=related, num_perm=_PERMUTATIONS)
    result = Copies([], [])
    for i, sketch in enumerate(sketches):
        alike = {
            j: similarity(shingles[i], shingles[j]) for j in index.query(sketch)
        }
        if any(value >= copy for value in alike.values()):
            continue
        index.insert(i, sketch, check_duplication=False)
        result.kept.append(i)
        result.related.extend(
            (j, i) for j in sorted(alike) if alike[j] >= related
        )
    return result


def shingle_set(text: str) -> set[int]:
    """Hashes of the runs of three words in the first 1500 characters."""
    words = loose_form(text[:_LONGEST]).split()
    runs = zip(*(words[k:] for k in range(_SHINGLE)), strict=False)
    whole = [tuple(words)] if len(words) < _SHINGLE else runs
    return {zlib.crc32(" ".join(run).encode()) for run in whole}


def similarity(first: set[int], second: set[int]) -> float:
    """Jaccard similarity, in [0, 1]; 1 for two empty sets."""
    if not first and not second:
        return 1.0
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def groups(size: int, links: Sequence[tuple[int, int]]) -> np.ndarray:
    """Connected components: int32 `[size]`, equal where links lead."""
    pairs = np.array(links, dtype=np.int64).reshape(-1, 2)
    graph = coo_array(
        (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (size, size)
    )
    return connected_components(graph, directed=False)[1]
