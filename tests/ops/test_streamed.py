"""The streamed divergence against the direct one, and what it holds."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.oracles import exact_kl
from tf_tokenrl.ops import categorical
from tf_tokenrl.ops.streamed import Head

ROWS, WIDTH, ENTRIES = 5, 4, 11


def dense(states, weights):
    kernel, bias = weights
    return tf.matmul(states, kernel, transpose_b=True) + bias


def head(seed, entries=ENTRIES, rows=ROWS, scale=1.0):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return tf.constant(rng.normal(0, scale, shape), tf.float32)

    weights = [normal(entries, WIDTH), normal(entries)]
    return Head(normal(rows, WIDTH), weights, dense)


def with_gradients(divergence, policy):
    """The value and the gradients of a weighted sum of its rows."""
    given = [policy.states, *policy.weights]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = divergence(Head(given[0], given[1:], policy.logits))
        weighted = tf.reduce_sum(value * tf.range(1.0, 1.0 + len(value)))
    return [value, *tape.gradient(weighted, given)]


def streamed_kl(policy, reference, chunk=4096):
    actions = tf.zeros_like(policy.states[:, 0], tf.int32)
    judged = categorical.judge(policy, actions, reference, chunk=chunk)
    return judged.divergence


def direct(policy, reference):
    return exact_kl(
        policy.logits(policy.states, policy.weights),
        reference.logits(reference.states, reference.weights),
    )


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 10, 11, 4096])
def test_value_and_gradients_are_those_of_the_whole(chunk):
    policy, reference = head(0), head(1)
    expected = with_gradients(lambda p: direct(p, reference), policy)
    found = with_gradients(lambda p: streamed_kl(p, reference, chunk), policy)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_three_entries_by_hand():
    p, q = np.array([0.98, 0.01, 0.01]), np.array([0.01, 0.01, 0.98])

    def fixed(probabilities):
        # The state is 1 and picks the log-probabilities from the weights.
        rows = tf.constant(np.log(probabilities)[:, None], tf.float32)
        return Head(tf.ones([1, 1]), [rows], _matmul)

    value = streamed_kl(fixed(p), fixed(q), chunk=2)
    np.testing.assert_allclose(value, [(p * np.log(p / q)).sum()], rtol=1e-5)


def _matmul(states, weights):
    return tf.matmul(states, weights[0], transpose_b=True)


def test_equals_are_at_distance_0_exactly_and_at_rest():
    policy = head(0, scale=5.0)
    value, *gradients = with_gradients(
        lambda p: streamed_kl(p, policy, 3), policy
    )
    assert not value.numpy().any()
    for gradient in gradients:
        np.testing.assert_allclose(gradient, 0 * gradient, atol=1e-4)


@pytest.mark.parametrize("chunk", [2, 11])
def test_large_logits_stay_finite(chunk):
    policy, reference = head(2, scale=30.0), head(3, scale=30.0)
    expected = with_gradients(lambda p: direct(p, reference), policy)
    found = with_gradients(lambda p: streamed_kl(p, reference, chunk), policy)
    for one, other in zip(found, expected, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_entries_without_probability_take_no_part():
    policy, reference = head(0), head(1)
    bias = tf.where(tf.range(ENTRIES) < 4, -np.inf, policy.weights[1])
    cut = policy._replace(weights=[policy.weights[0], bias])
    value, states, *_ = with_gradients(
        lambda p: streamed_kl(p, reference, 2), cut
    )
    np.testing.assert_allclose(value, direct(cut, reference), rtol=1e-4)
    assert np.isfinite(states).all()
    assert np.isinf(streamed_kl(reference, cut, 2)).all()


def test_the_reference_gets_no_gradient():
    policy, reference = head(0), head(1)
    given = [reference.states, *reference.weights]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = streamed_kl(policy, Head(given[0], given[1:], dense), 4)
    assert tape.gradient(value, given) == [None] * 3


def test_half_precision_keeps_its_types():
    policy, reference = head(0), head(1)
    half = Head(
        tf.cast(policy.states, tf.bfloat16),
        [tf.cast(w, tf.bfloat16) for w in policy.weights],
        dense,
    )
    value, *gradients = with_gradients(
        lambda p: streamed_kl(p, reference, 4), half
    )
    assert value.dtype == tf.float32
    assert {g.dtype for g in gradients} == {tf.bfloat16}
    np.testing.assert_allclose(value, direct(policy, reference), rtol=0.1)


def every_tensor(graph):
    """All tensors of a graph, those of its functions included."""
    for operation in graph.get_operations():
        if "redundant_placeholder" not in operation.name:  # of no value
            yield from operation.outputs
    for name in graph._functions:
        yield from every_tensor(graph._functions[name].graph)


def judged(policy, reference=None):
    """All that is judged, added up; by parts with 64 entries each."""
    actions = tf.zeros_like(policy.states[:, 0], tf.int32)
    found = categorical.judge(policy, actions, reference, largest=0, chunk=64)
    return sum(x for x in found if x is not None)


@pytest.mark.parametrize("exact", [False, True])
def test_nothing_as_large_as_the_logits_is_made(exact):
    """Neither forwards nor backwards: 40 states times 1000 entries."""
    rows, entries = 40, 1000
    policy, reference = head(0, entries, rows), head(1, entries, rows)

    def update(divergence):
        specs = [tf.TensorSpec(x.shape) for x in (policy[0], *policy.weights)]
        graph = tf.function(
            lambda states, *weights: with_gradients(
                divergence, Head(states, weights, dense)
            ),
            input_signature=specs,
        ).get_concrete_function()
        return max(size(t) for t in every_tensor(graph.graph))

    def size(tensor):
        if tensor.op.type == "TensorListConcatV2":  # as large as the weights
            return 0
        known = tensor.shape.is_fully_defined()
        assert known or tensor.dtype == tf.variant, tensor
        return tensor.shape.num_elements() or 0

    other = reference if exact else None
    assert update(lambda p: judged(p, other)) < rows * entries / 4
    assert update(lambda p: direct(p, reference)) == rows * entries
