"""Sums of weights, compared with NumPy."""

import numpy as np
import pytest

from tests.support import tiny
from tf_tokenrl.adapters.shared import fusion
from tf_tokenrl.errors import TokenRLError


def numbers(policy):
    return [w.astype(np.float64) for w in policy.get_weights()]


def policies():
    return [tiny.policy("gru", seed) for seed in range(3)]


def assert_weights(policy, expected, **tolerance):
    for found, wanted in zip(policy.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, wanted, **tolerance)


def test_interpolation_and_its_ends():
    one, other, _ = policies()
    for weights, parent in (([1, 0], one), ([0, 1], other)):
        ends = fusion.interpolate([one, other], weights).get_weights()
        for found, wanted in zip(ends, parent.get_weights(), strict=True):
            np.testing.assert_array_equal(found, wanted)
    middle = fusion.interpolate([one, other], [0.25, 0.75])
    pairs = zip(numbers(one), numbers(other), strict=True)
    assert_weights(middle, [0.25 * x + 0.75 * y for x, y in pairs], atol=1e-6)


def test_weights_are_never_scaled_in_silence():
    one, other, _ = policies()
    with pytest.raises(TokenRLError, match="add up to 0.6"):
        fusion.interpolate([one, other], [0.3, 0.3])
    with pytest.raises(TokenRLError, match="one weight"):
        fusion.add_task_vectors(one, [other], [1.0, 1.0])


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.1, 1.0), (1.0, -1.0)])
def test_task_vectors_count_what_they_say(weights):
    base, one, other = policies()
    fused = fusion.add_task_vectors(base, [one, other], weights)
    three = zip(*(numbers(p) for p in (base, one, other)), strict=True)
    expected = [
        b + weights[0] * (x - b) + weights[1] * (y - b) for b, x, y in three
    ]
    assert_weights(fused, expected, atol=1e-5)


def test_adapters_are_mixed_as_weights():
    """Rank 1: A 2, B 3 and A 5, B -1 by halves are 0.5, and never 3.5."""
    base = tiny.policy("llama")
    made = []
    for down, up in ((2.0, 3.0), (5.0, -1.0)):
        policy = tiny.policy("llama")
        policy.add_adapter("a", "lora(rank=1, roles=('down',))")
        for name, variable in policy.adapters["a"].numbers().items():
            value = {"down": down, "up": up}.get(name.rpartition(".")[2])
            if value is not None:
                variable.assign(np.full(variable.shape, value))
        made.append(policy)
    before = numbers(base)
    for fused, change in (
        (fusion.interpolate(made, [0.5, 0.5]), 0.5),
        (fusion.add_task_vectors(base, made, [0.5, 0.5]), 0.5),
        (fusion.add_task_vectors(base, made[:1], [-1.0]), -6.0),
        (fusion.add_task_vectors(base, made[:1], [1.0]), 6.0),
    ):
        moved = [
            found - old
            for found, old in zip(numbers(fused), before, strict=True)
            if np.any(np.abs(found - old) > 1e-4)
        ]
        assert len(moved) == 2  # one map in each of two layers
        for difference in moved:
            np.testing.assert_allclose(difference, change, atol=1e-5)


def test_other_shapes_are_refused():
    with pytest.raises(TokenRLError, match="different shapes"):
        fusion.interpolate([tiny.policy("gru"), tiny.policy("lstm")], [1, 0])
