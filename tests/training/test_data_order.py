"""Every example once an epoch, and those of a step of similar length."""

import collections

import numpy as np
import pytest

from tf_tokenrl.flow import Example
from tf_tokenrl.training import data_order

EXAMPLES = [Example("x" * (n * n % 101), (), str(n)) for n in range(70)]


def keys(steps, count, **options):
    return [
        [
            EXAMPLES[row].key
            for row in data_order.stream(
                EXAMPLES, step * count, count, 3, **options
            )
        ]
        for step in range(steps)
    ]


@pytest.mark.parametrize("similar_lengths", [False, True])
@pytest.mark.parametrize("count", [1, 4, 70, 90])
def test_an_epoch_has_every_example_once(count, similar_lengths):
    steps = 280 // count + 1
    found = sum(keys(steps, count, similar_lengths=similar_lengths), [])
    epochs = [found[i : i + 70] for i in range(0, 210, 70)]
    for epoch in epochs:
        assert collections.Counter(epoch) == {e.key: 1 for e in EXAMPLES}
    assert epochs[0] != epochs[1] != epochs[2]


def test_the_prompts_of_a_step_have_similar_lengths():
    """In the third epoch, too, in the midst of which a step begins."""

    def spread(**options):
        lengths = {e.key: len(e.prompt) for e in EXAMPLES}
        rows = keys(52, 4, **options)
        return np.median([np.ptp([lengths[k] for k in row]) for row in rows])

    assert spread(similar_lengths=True) < 0.3 * spread()


def test_the_order_of_batches_is_drawn():
    lengths = np.arange(32)
    rng = np.random.default_rng(0)
    made = data_order.batches(rng, rng.permutation(32), lengths, 4)
    assert all(np.ptp(lengths[batch]) == 3 for batch in made)
    first = [batch.min() for batch in made]
    assert sorted(first) == list(range(0, 32, 4)) != first
