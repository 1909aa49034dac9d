import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tf_tokenrl.decoding.sampling import (
    Sampling,
    draw,
    mix_uniform,
    row_seeds,
    uniforms,
)

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))
SIZES = st.sampled_from([2, 7, 255, 256, 257, 300, 512, 600])
SETTINGS = [
    dict(),
    dict(temperature=0.5),
    dict(temperature=2.0, top_k=20),
    dict(top_p=0.6),
    dict(temperature=0.7, top_k=40, top_p=0.8),
    dict(uniform=0.3),
    dict(temperature=0.5, uniform=0.1),
    dict(top_k=1),
]


def distribution(logits, temperature=1.0, top_k=0, top_p=1.0, uniform=0.0):
    """What one row is drawn from, in float64 and with nothing clever."""
    scaled = logits.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    order = np.argsort(-weights, kind="stable")
    kept = order[: top_k or len(order)]
    share = weights[kept] / weights[kept].sum()
    reached = np.cumsum(share) - share < top_p
    reached[0] = True
    cut = np.zeros_like(weights)
    cut[kept[reached]] = weights[kept[reached]]
    return (1 - uniform) * cut / cut.sum() + uniform / len(cut)


def sampling(rows, **options):
    return Sampling(**options).per_row(rows)


def drawn(logits, noise, given):
    ids, log_probs = draw(
        tf.constant(logits, tf.float32), tf.constant(noise, tf.float32), given
    )
    return ids.numpy(), log_probs.numpy()


@pytest.mark.parametrize("options", SETTINGS[:-1])
def test_frequencies_are_those_of_the_distribution(options):
    rows, size = 20_000, 300
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, size).astype(np.float32)
    ids, _ = drawn(
        np.tile(logits, (rows, 1)),
        rng.random((rows, 2), np.float32),
        sampling(rows, **options),
    )
    expected = distribution(logits, **options) * rows
    counts = np.bincount(ids, minlength=size)
    assert not counts[expected == 0].any()
    common = expected >= 5
    seen, due = counts[common], expected[common]
    if not common.all() and (rest := expected[~common].sum()) >= 5:
        seen = [*seen, counts[~common].sum()]
        due = [*due, rest]
    due = np.array(due) * (np.sum(seen) / np.sum(due))
    assert stats.chisquare(seen, due).pvalue > 0.01


@settings(deadline=None, max_examples=40)
@given(size=SIZES, seed=st.integers(0, 2**31), spread=st.floats(0.1, 20))
def test_log_probs_are_exact_in_every_row(size, seed, spread):
    rng = np.random.default_rng(seed)
    rows = len(SETTINGS)
    logits = rng.normal(0, spread, (rows, size)).astype(np.float32)
    full = [{**Sampling()._asdict(), **options} for options in SETTINGS]
    columns = zip(*map(dict.values, full), strict=True)
    given = Sampling(*map(np.array, columns))
    ids, log_probs = drawn(logits, rng.random((rows, 2)), given.per_row(rows))
    for row, options in enumerate(SETTINGS):
        share = distribution(logits[row], **options)[ids[row]]
        assert share > 0
        np.testing.assert_allclose(log_probs[row], np.log(share), atol=2e-5)


@settings(deadline=None, max_examples=40)
@given(
    size=SIZES,
    seed=st.integers(0, 2**31),
    low=st.sampled_from([-np.inf, -200.0, -95.0, -88.0]),
)
def test_impossible_tokens_are_never_drawn(size, seed, low):
    rng = np.random.default_rng(seed)
    corners = np.array(
        [[a, b] for a in (0, BELOW_ONE) for b in (0, BELOW_ONE)], np.float32
    )
    logits = np.full((len(corners), size), low, np.float32)
    for row in logits:
        possible = rng.choice(size, rng.integers(1, 3), replace=False)
        row[possible] = rng.normal(0, 1, len(possible))
    ids, log_probs = drawn(logits, corners, sampling(len(corners)))
    assert (ids < size).all()
    assert np.isfinite(log_probs).all()
    if low < -150:
        assert (logits[range(len(ids)), ids] > low).all()


def test_a_block_of_almost_no_weight_yields_a_token_of_it():
    logits = np.zeros((1, 512), np.float32)
    logits[0, :256] = -np.inf
    logits[0, 7] = -90.0
    ids, _ = drawn(logits, [[0.0, BELOW_ONE]], sampling(1))
    assert ids[0] in {7, *range(256, 512)}


def test_greedy_rows_take_the_first_best_token():
    logits = np.array([[1, 3, 3, 2], [0, 0, 0, 5]], np.float32)
    ids, log_probs = drawn(
        logits, np.full((2, 2), BELOW_ONE), sampling(2, temperature=0.0)
    )
    np.testing.assert_array_equal(ids, [1, 3])
    expected = [np.log(distribution(row).max()) for row in logits]
    np.testing.assert_allclose(log_probs, expected, atol=1e-6)


def test_greedy_and_sampled_rows_share_a_batch():
    rows = 64
    logits = np.tile(np.array([0.0, 1.0, 0.5], np.float32), (rows, 1))
    temperature = np.arange(rows) % 2 * 1.0
    noise = np.random.default_rng(0).random((rows, 2))
    given = Sampling(temperature, 0, 1.0, 1).per_row(rows)
    ids, _ = drawn(logits, noise, given)
    assert set(ids[::2]) == {1}
    assert set(ids[1::2]) == {0, 1, 2}


@pytest.mark.parametrize("temperature", [1e-30, 1e30])
def test_extreme_temperatures_stay_finite(temperature):
    logits = np.array([[3.0, 80.0, -40.0]], np.float32)
    ids, log_probs = drawn(
        logits, [[0.5, 0.5]], sampling(1, temperature=temperature)
    )
    expected = 0.0 if temperature < 1 else -np.log(3)
    assert ids[0] == 1
    np.testing.assert_allclose(log_probs, [expected], atol=1e-5)


def test_ties_with_the_last_kept_token_are_kept():
    logits = np.tile(np.array([1, 2, 1, 0], np.float32), (500, 1))
    noise = np.random.default_rng(0).random((500, 2))
    ids, _ = drawn(logits, noise, sampling(500, top_k=2))
    assert set(ids) == {0, 1, 2}


@pytest.mark.parametrize("top_p", [0.0, 1e-6])
def test_top_p_always_keeps_the_best_token(top_p):
    logits = np.array([[0.0, 2.0, 1.0]], np.float32)
    ids, log_probs = drawn(logits, [[0.9, 0.9]], sampling(1, top_p=top_p))
    assert (ids[0], log_probs[0]) == (1, 0.0)


def test_rows_are_independent():
    rng = np.random.default_rng(0)
    rows = 8
    logits = rng.normal(0, 2, (rows, 300)).astype(np.float32)
    noise = rng.random((rows, 2)).astype(np.float32)
    given = Sampling(
        rng.choice([0.0, 0.5, 1.0], rows),
        rng.choice([0, 5], rows),
        rng.choice([0.5, 1.0], rows),
        4,
        rng.choice([0.0, 0.3], rows),
    ).per_row(rows)
    ids, log_probs = drawn(logits, noise, given)
    for row in range(rows):
        alone = drawn(
            logits[row : row + 1],
            noise[row : row + 1],
            Sampling(*(field[row : row + 1] for field in given)),
        )
        assert alone[0][0] == ids[row]
        np.testing.assert_allclose(alone[1][0], log_probs[row], atol=1e-6)


def test_seeds_are_those_of_the_global_rows():
    whole = row_seeds(5, 0, 6).numpy()
    np.testing.assert_array_equal(row_seeds(5, 2, 4), whole[2:])
    assert len({tuple(row) for row in whole}) == 6


def test_noise_is_a_function_of_the_rows_own_seed():
    seeds = tf.concat([row_seeds(1, 0, 4), row_seeds(2**60, 0, 4)], axis=0)
    noise = uniforms(seeds, 50).numpy()
    assert len(np.unique(noise[:, 0, 0])) == 8
    assert noise.min() >= 0 and noise.max() < 1
    np.testing.assert_array_equal(uniforms(seeds[5:6], 50)[0], noise[5])
    assert stats.kstest(noise.ravel(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.3])
def test_mixed_log_probs_and_their_gradients(share):
    """Against float64, down to probabilities that float32 cannot hold."""
    log_probs = tf.constant([-0.1, -3.0, -60.0, -200.0])
    with tf.GradientTape() as tape:
        tape.watch(log_probs)
        mixed = mix_uniform(log_probs, share, 50)
    exact = np.exp(log_probs.numpy().astype(np.float64))
    both = (1 - share) * exact + share / 50
    np.testing.assert_allclose(mixed, np.log(both), rtol=1e-6)
    slope = (1 - share) * exact / both
    found = tape.gradient(mixed, log_probs)
    np.testing.assert_allclose(found, slope, rtol=1e-5, atol=1e-30)


def test_a_mixture_is_a_distribution():
    log_probs = tf.nn.log_softmax(tf.random.stateless_normal([3, 40], [1, 2]))
    total = tf.reduce_sum(tf.exp(mix_uniform(log_probs, 0.2, 40)), axis=-1)
    np.testing.assert_allclose(total, 1, rtol=1e-5)


def test_every_token_of_many_blocks_is_drawn_at_its_probability():
    """The joint distribution: block and token have noise of their own."""
    rows, size = 20_000, 1024
    logits = np.random.default_rng(0).normal(size=size).astype(np.float32)
    noise = tf.function(uniforms)(row_seeds(3, 0, rows), 1)[:, 0]
    ids, _ = drawn(np.tile(logits, (rows, 1)), noise, sampling(rows))
    counts = np.bincount(ids, minlength=size)
    expected = distribution(logits) * rows
    common = expected >= 5
    seen = [*counts[common], counts[~common].sum()]
    due = [*expected[common], expected[~common].sum()]
    assert stats.chisquare(seen, due).pvalue > 0.01
