"""Returns and advantages against sums written out, and TF-Agents."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl.ops import returns
from tf_tokenrl.ops.returns import (
    discounted_returns,
    generalized_advantage_estimation,
    n_step_advantages,
)

NAN = float("nan")


def advantages_of_one_row(rewards, values, discount, decay):
    """The O(T^2) sum, over the chosen tokens of one row only."""
    following = [*values[1:], 0.0]
    errors = rewards + discount * np.array(following) - values
    steps = range(len(rewards))
    return [
        sum((discount * decay) ** (s - t) * errors[s] for s in steps if s >= t)
        for t in steps
    ]


def row_by_row(row_function, mask, *tensors):
    """Apply a function to the chosen entries of each row."""
    result = np.zeros(mask.shape)
    for row, chosen in enumerate(mask):
        if chosen.any():
            parts = [np.asarray(x, np.float64)[row, chosen] for x in tensors]
            result[row, chosen] = row_function(row, *parts)
    return result


@pytest.fixture(params=["ragged", "interior"])
def case(request):
    random = np.random.default_rng(7)
    mask = np.arange(9) < np.array([9, 4, 1, 0, 6])[:, None]
    if request.param == "interior":
        mask &= random.random(mask.shape) < 0.6
    rewards, values = random.normal(size=(2, 5, 9)).astype(np.float32)
    return rewards, values, mask


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    length=st.integers(1, 12),
    discount=st.floats(0, 1),
    decay=st.floats(0, 1),
)
def test_advantages_equal_the_sum(seed, length, discount, decay):
    random = np.random.default_rng(seed)
    rewards, values = random.normal(size=(2, 3, length)).astype(np.float32)
    mask = random.random((3, length)) < 0.7
    result = generalized_advantage_estimation(
        np.where(mask, rewards, NAN),
        np.where(mask, values, NAN),
        mask,
        discount,
        decay,
    )
    expected = row_by_row(
        lambda row, r, v: advantages_of_one_row(r, v, discount, decay),
        mask,
        rewards,
        values,
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_returns_equal_the_sum(case):
    rewards, _, mask = case
    result = discounted_returns(rewards, mask, 0.9)
    expected = row_by_row(
        lambda row, r: [
            sum(0.9**k * x for k, x in enumerate(r[t:])) for t in range(len(r))
        ],
        mask,
        rewards,
    )
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 12])
def test_n_steps_equal_the_sum(case, steps):
    rewards, values, mask = case

    def one_row(row, r, v):
        v = [*v, *[0] * steps]
        r = [*r, *[0] * steps]
        return [
            sum(0.9**i * r[t + i] for i in range(steps))
            + 0.9**steps * v[t + steps]
            - v[t]
            for t in range(len(r) - steps)
        ]

    result = n_step_advantages(
        np.where(mask, rewards, NAN),
        np.where(mask, values, NAN),
        mask,
        0.9,
        steps,
    )
    expected = row_by_row(one_row, mask, rewards, values)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_one_step_and_all_steps_are_the_ends_of_the_trace(case):
    rewards, values, mask = case
    for steps, decay in ((1, 0.0), (9, 1.0)):
        np.testing.assert_allclose(
            n_step_advantages(rewards, values, mask, 0.97, steps),
            generalized_advantage_estimation(
                rewards, values, mask, 0.97, decay
            ),
            atol=1e-5,
        )


def test_trace_decay_one_gives_return_minus_value(case):
    rewards, values, mask = case
    advantages = generalized_advantage_estimation(
        rewards, values, mask, 0.97, 1.0
    )
    monte_carlo = discounted_returns(rewards, mask, 0.97)
    np.testing.assert_allclose(
        advantages, np.where(mask, monte_carlo - values, 0), atol=1e-5
    )


def test_masked_slots_change_neither_value_nor_gradient(case):
    rewards, values, mask = case

    def run(junk):
        inputs = [tf.constant(np.where(mask, x, junk)) for x in case[:2]]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            result = generalized_advantage_estimation(*inputs, mask, 0.97, 0.95)
        return [result, *tape.gradient(result, inputs)]

    for clean, dirty in zip(run(0), run(NAN), strict=True):
        np.testing.assert_array_equal(clean, dirty)
        assert np.isfinite(dirty).all()


def test_padding_changes_nothing(case):
    rewards, values, mask = case
    plain = generalized_advantage_estimation(rewards, values, mask, 0.97, 0.95)
    wide = [np.pad(x, ((0, 0), (0, 7))) for x in (rewards, values, mask)]
    padded = generalized_advantage_estimation(*wide, 0.97, 0.95)
    np.testing.assert_allclose(padded[:, :9], plain, atol=1e-6)
    assert not padded[:, 9:].numpy().any()


def test_graph_of_unknown_shape_equals_eager(case):
    rewards, values, mask = case
    floats = tf.TensorSpec((None, None), tf.float32)
    graph = tf.function(
        generalized_advantage_estimation,
        input_signature=[floats, floats, tf.TensorSpec((None, None), tf.bool)],
    )
    np.testing.assert_allclose(
        graph(rewards, values, mask),
        generalized_advantage_estimation(rewards, values, mask),
        atol=1e-6,
    )


def test_shapes_that_would_broadcast_are_refused(case):
    rewards, values, mask = case
    with pytest.raises(ValueError):
        generalized_advantage_estimation(rewards[:, :1], values, mask)
    with pytest.raises(ValueError):
        discounted_returns(rewards, mask[:1])


def test_carry_forward_holds_the_last_chosen_entry():
    x = tf.constant([[NAN, 1.0, NAN, 3.0, NAN, NAN], [NAN] * 6])
    mask = tf.math.is_finite(x)
    np.testing.assert_array_equal(
        returns.carry_forward(x, mask), [[0, 1, 1, 3, 3, 3], [0] * 6]
    )


# TF-Agents' own expected numbers (value_ops_test.py, 0.18.0) come from rows
# with an episode end inside; here each episode is a row.


def test_golden_advantages():
    ones, threes = np.ones((1, 5)), np.full((1, 5), 3.0)
    first = generalized_advantage_estimation(
        ones, threes, ones > 0, discount=1.0, trace_decay=0.95
    )
    np.testing.assert_allclose(
        first, [[2.0808625, 1.13775, 0.145, -0.9, -2.0]], rtol=1e-5
    )
    second = generalized_advantage_estimation(
        ones, threes, np.arange(5)[None] < 4, discount=0.9, trace_decay=0.95
    )
    np.testing.assert_allclose(
        second, [[0.56016475, -0.16355, -1.01, -2.0, 0]], rtol=1e-5
    )


def test_golden_returns():
    ones = np.ones((1, 4), np.float32)
    rewards = ones + [[0, 0, 0, 0.9 * 8]]  # the final value as a reward
    result = discounted_returns(rewards, ones > 0, 0.9)
    expected = [8 * 0.9 ** (4 - t) for t in range(4)]
    expected = np.array(expected) + [3.439, 2.71, 1.9, 1.0]
    np.testing.assert_allclose(result[0], expected, rtol=1e-6)


@pytest.fixture(scope="module")
def value_ops():
    """TF-Agents' module alone; the package would want legacy Keras."""
    package = importlib.util.find_spec("tf_agents")
    if package is None:
        pytest.skip("tf-agents is not installed")
    home = pathlib.Path(package.submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(
        "value_ops", home / "utils" / "value_ops.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_equal_to_tf_agents(case, value_ops):
    rewards, values, mask = case

    def advantages(row, r, v):
        return value_ops.generalized_advantage_estimation(
            values=v,
            final_value=np.float64(0),
            discounts=np.full_like(r, 0.97),
            rewards=r,
            td_lambda=0.95,
        )

    def sums(row, r):
        return value_ops.discounted_return(
            r, np.full_like(r, 0.97), np.float64(0)
        )

    np.testing.assert_allclose(
        generalized_advantage_estimation(rewards, values, mask, 0.97, 0.95),
        row_by_row(advantages, mask, rewards, values),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        discounted_returns(rewards, mask, 0.97),
        row_by_row(sums, mask, rewards),
        atol=1e-5,
    )
