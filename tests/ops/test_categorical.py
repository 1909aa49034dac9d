"""Log-probs and entropy against TensorFlow's own, whole and by parts."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tokenrl.ops import categorical
from tf_tokenrl.ops.streamed import Head

GENERATOR = np.random.default_rng(0)
LOGITS = tf.constant(GENERATOR.normal(0.0, 30.0, (7, 11)), tf.float32)
ACTIONS = tf.constant(GENERATOR.integers(0, 11, 7), tf.int32)
UPSTREAM = tf.constant(GENERATOR.normal(size=7), tf.float32)


def value_and_gradient(function):
    with tf.GradientTape() as tape:
        tape.watch(LOGITS)
        value = function(LOGITS)
    return value, tape.gradient(value, LOGITS, output_gradients=UPSTREAM)


def judge(logits):
    return categorical.judge(categorical.of_logits(logits), ACTIONS)


def test_log_probs_and_their_gradient():
    given = value_and_gradient(lambda x: judge(x).log_probs)
    expected = value_and_gradient(
        lambda x: -tf.nn.sparse_softmax_cross_entropy_with_logits(ACTIONS, x)
    )
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_entropy_and_its_gradient():
    def plain(logits):
        log_p = tf.nn.log_softmax(logits)
        return -tf.reduce_sum(tf.exp(log_p) * log_p, axis=-1)

    given = value_and_gradient(lambda x: judge(x).entropy)
    expected = value_and_gradient(plain)
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_entries_without_probability_take_no_part():
    cut = tf.where(tf.range(11) < 4, -np.inf, LOGITS)
    actions = tf.fill([7], 5)
    with tf.GradientTape() as tape:
        tape.watch(cut)
        judged = categorical.judge(categorical.of_logits(cut), actions)
        total = tf.reduce_sum(judged.log_probs + judged.entropy)
    rest = categorical.judge(categorical.of_logits(LOGITS[:, 4:]), actions - 4)
    np.testing.assert_allclose(judged.log_probs, rest.log_probs, rtol=1e-6)
    np.testing.assert_allclose(judged.entropy, rest.entropy, atol=1e-6)
    slope = tape.gradient(total, cut).numpy()
    assert np.isfinite(slope).all() and not slope[:, :4].any()


def test_bfloat16_logits_give_float32():
    judged = judge(tf.cast(LOGITS, tf.bfloat16))
    assert judged.log_probs.dtype == judged.entropy.dtype == tf.float32


ROWS, WIDTH, ENTRIES = 6, 4, 11


def dense(states, weights):
    kernel, bias = weights
    return tf.matmul(states, kernel, transpose_b=True) + bias


def with_gradients(largest, dtype=tf.float32):
    """All that is judged, and the gradients of a mixture of it."""
    rng = np.random.default_rng(1)
    shapes = (ROWS, WIDTH), (ENTRIES, WIDTH), (ENTRIES,)
    given = [tf.cast(rng.normal(0, 2, shape), dtype) for shape in shapes]
    actions = tf.constant([0, 3, 4, 8, 10, 10])

    def run(states, *weights):
        watched = [states, *weights]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            head = Head(states, weights, dense)
            judged = categorical.judge(head, actions, None, largest, 4)
            mixed = tf.range(1.0, 7.0) * judged.log_probs
            total = tf.reduce_sum(mixed - 0.3 * judged.entropy)
        slopes = tape.gradient(total, watched)
        return [judged.log_probs, judged.entropy, *slopes]

    return run, given


SIZE = 4 * ROWS * ENTRIES


@pytest.mark.parametrize("unknown", [False, True])
def test_both_ways_give_the_same(unknown):
    """The way is chosen where the number of states is known."""
    found = []
    for largest in (SIZE - 1, SIZE):
        run, given = with_gradients(largest)
        if unknown:
            specs = [tf.TensorSpec(x.shape, x.dtype) for x in given]
            specs[0] = tf.TensorSpec([None, WIDTH])
            run = tf.function(run, input_signature=specs)
        found.append(run(*given))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_both_ways_round_half_precision_alike():
    """bfloat16 has 8 bits: sums of the parts are rounded once each."""
    found = []
    for largest in (0, SIZE):
        run, given = with_gradients(largest, tf.bfloat16)
        found.append(run(*given))
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        one, other = tf.cast(one, tf.float32), tf.cast(other, tf.float32)
        np.testing.assert_allclose(one, other, rtol=2**-6, atol=2**-6)


def test_what_is_held_decides():
    """By parts no whole logits are made, with room for them they are."""
    for largest, whole in ((SIZE - 1, False), (SIZE, True)):
        run, given = with_gradients(largest)
        graph = tf.function(run).get_concrete_function(*given).graph
        shapes = [t.shape for op in graph.get_operations() for t in op.outputs]
        assert ([ROWS, ENTRIES] in shapes) == whole
