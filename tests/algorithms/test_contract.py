"""What every algorithm of the library must do, in every configuration."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests.support.variants import NAMES, each_variant
from tf_tokenrl import algorithms
from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Batch, Rollout
from tf_tokenrl.runtime.tracing import Graph


def flat(targets, loss, metrics):
    return [*targets, loss, *metrics.values()]


@each_variant
def test_everything_is_per_token_and_zero_where_masked(
    algorithm, make_batch, learn
):
    batch = make_batch(junk=3.0)
    for tensor in flat(*learn(algorithm, *batch)):
        assert tensor.dtype == tf.float32
        assert tensor.shape == batch[0].mask.shape
        assert np.isfinite(tensor).all()
        assert not tensor.numpy()[~batch[0].mask].any()


@each_variant
def test_masked_slots_change_neither_values_nor_gradients(
    algorithm, make_batch, learn
):
    def run(junk):
        rollout, rewards, scores = make_batch(junk)
        scores = tf.nest.map_structure(tf.constant, scores)
        with tf.GradientTape() as tape:
            tape.watch(scores)
            results = learn(algorithm, rollout, rewards, scores)
        gradients = tape.gradient(results[1], scores)
        return flat(*results) + [g for g in gradients if g is not None]

    for clean, dirty in zip(run(0.0), run(float("nan")), strict=True):
        np.testing.assert_array_equal(clean, dirty)


@each_variant
def test_padding_changes_nothing(algorithm, make_batch, learn):
    plain = flat(*learn(algorithm, *make_batch()))
    padded = flat(*learn(algorithm, *make_batch(float("nan"), columns=12)))
    for narrow, wide in zip(plain, padded, strict=True):
        np.testing.assert_allclose(wide[:, :5], narrow, atol=1e-6)
        assert not wide[:, 5:].numpy().any()


@each_variant
def test_the_order_of_rows_means_nothing(algorithm, make_batch, learn):
    batch = make_batch()
    backwards = tf.nest.map_structure(
        lambda x: None if x is None else x[::-1], batch
    )
    for forth, back in zip(
        flat(*learn(algorithm, *batch)),
        flat(*learn(algorithm, *backwards)),
        strict=True,
    ):
        np.testing.assert_allclose(back[::-1], forth, atol=1e-6)


@each_variant
def test_what_was_collected_is_constant(algorithm, make_batch, complete):
    rollout, rewards, scores = make_batch()
    targets = complete(algorithm, rollout, rewards).targets
    old = [
        tf.constant(x)
        for x in (rollout.log_probs, rollout.values, *targets, rewards)
    ]
    with tf.GradientTape() as tape:
        tape.watch(old)
        past = rollout._replace(log_probs=old[0], values=old[1])
        made = type(targets)(*old[2:4])
        batch = Batch(past, old[4], made, settings=algorithm.settings(3))
        loss, _ = algorithm.loss(batch, scores)
    assert tape.gradient(loss, old) == [None] * 5


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_of_unknown_shape_equals_eager(name, make_batch, learn):
    algorithm = algorithms.get(name)
    batch = make_batch()
    graph = Graph(lambda *inputs: learn(algorithm, *inputs))
    for traced, eager in zip(
        flat(*graph(*batch)), flat(*learn(algorithm, *batch)), strict=True
    ):
        np.testing.assert_allclose(traced, eager, atol=1e-6)


@each_variant
def test_returns_stem_from_advantages_before_whitening(
    algorithm, make_batch, complete
):
    if not hasattr(algorithm, "whiten"):
        pytest.skip("this algorithm does not whiten")
    rollout, rewards, _ = make_batch()
    plain = dataclasses.replace(algorithm, whiten=False)
    white = dataclasses.replace(algorithm, whiten=True)
    expected = complete(plain, rollout, rewards).targets
    result = complete(white, rollout, rewards).targets
    np.testing.assert_allclose(result.returns, expected.returns)
    chosen = result.advantages.numpy()[rollout.mask]
    np.testing.assert_allclose(chosen.mean(), 0, atol=1e-6)
    np.testing.assert_allclose(chosen.std(), 1, rtol=1e-5)
    assert np.corrcoef(chosen, expected.advantages.numpy()[rollout.mask])[
        0, 1
    ] == pytest.approx(1)


@each_variant
def test_metrics_that_cannot_be_negative_are_not(algorithm, make_batch, learn):
    _, _, metrics = learn(algorithm, *make_batch())
    for name in metrics.keys() - {"policy_loss"}:
        assert (metrics[name].numpy() >= 0).all()


@each_variant
def test_what_tokens_count_adds_up_and_masked_slots_count_nothing(
    algorithm, make_batch, complete
):
    def weights(junk=0.0, columns=5):
        rollout, rewards, _ = make_batch(junk, columns)
        batch = complete(algorithm, rollout, rewards)
        return algorithm.loss_weights(batch, longest=5)

    found = [w.numpy() for w in weights() if w is not None]
    if getattr(algorithm, "normalization", "token") != "constant":
        assert sum(w.sum() for w in found) == pytest.approx(1)
    wide = [w.numpy() for w in weights(np.nan, 12) if w is not None]
    mask = make_batch()[0].mask
    for narrow, padded in zip(found, wide, strict=True):
        assert not narrow[~mask].any() and (narrow[mask] > 0).all()
        np.testing.assert_allclose(padded[:, :5], narrow, rtol=1e-6)
        assert not padded[:, 5:].any()


@each_variant
def test_scores_may_be_half_precision(algorithm, make_batch, learn):
    """What is computed from them is float32, close to the exact."""
    rollout, rewards, scores = make_batch()
    half = tf.nest.map_structure(lambda x: tf.cast(x, tf.bfloat16), scores)
    exact = flat(*learn(algorithm, rollout, rewards, scores))
    for near, far in zip(
        flat(*learn(algorithm, rollout, rewards, half)), exact, strict=True
    ):
        assert near.dtype == tf.float32
        np.testing.assert_allclose(near, far, atol=0.1)


@each_variant
def test_the_constructor_is_the_configuration(algorithm):
    options = {
        field.name: getattr(algorithm, field.name)
        for field in dataclasses.fields(algorithm)
    }
    name = type(algorithm).__module__.rpartition(".")[2]
    assert algorithms.get(name, **options) == algorithm
    for option, value in options.items():
        assert f"{option}={value!r}" in repr(algorithm)
    written = ", ".join(f"{k}={v!r}" for k, v in options.items())
    assert algorithms.parse(f"{name}({written})") == algorithm


@each_variant
def test_memory_survives_a_checkpoint(algorithm, make_batch, complete):
    """It is numbers that JSON keeps to the last bit."""
    memory = algorithm.first_memory()
    rollout, rewards, _ = make_batch()
    for _ in range(3):
        batch = complete(algorithm, rollout, rewards)
        memory = algorithm.remember(memory, batch)
    assert json.loads(json.dumps(memory)) == memory


@pytest.mark.parametrize("name", NAMES)
def test_defaults_discount_nothing(name):
    algorithm = algorithms.get(name)
    assert getattr(algorithm, "discount", 1.0) == 1.0
    assert getattr(algorithm, "trace_decay", 0.95) == 0.95


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("discount", 1.5),
        ("discount", float("nan")),
        ("discount", "0.9"),
        ("discount", True),
        ("value_weight", -1),
        ("entropy_weight", None),
        ("samples_per_prompt", 0),
        ("samples_per_prompt", 2.0),
        ("no_such_option", 1),
    ],
)
def test_impossible_options_are_named(name, option, value):
    with pytest.raises(TokenRLError, match=option):
        algorithms.get(name, **{option: value})


def test_an_algorithm_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "own_algorithm.py").write_text(
        "from tf_tokenrl.algorithms import Algorithm\n"
        "class Own(Algorithm):\n"
        "    targets = loss = None\n"
        "class Other: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(algorithms.get("own_algorithm:Own"), Algorithm)
    with pytest.raises(TokenRLError, match="is not an algorithm"):
        algorithms.get("own_algorithm:Other")
    with pytest.raises(TokenRLError, match="Did you mean"):
        algorithms.get("reinforc")


@pytest.mark.parametrize("name", ["actor_critic", "ppo"])
def test_answers_to_one_prompt_are_compared(name):
    def advantages(samples_per_prompt):
        algorithm = algorithms.get(
            name, samples_per_prompt=samples_per_prompt, whiten=False
        )
        return algorithm.targets(rollout, rewards).advantages.numpy()

    rng = np.random.default_rng(0)
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0]], bool)
    floats = rng.normal(size=(3, 4, 3)).astype(np.float32)
    ids = np.zeros((4, 3), np.int32)
    rollout = Rollout(ids, mask, ids, mask, floats[0], floats[1])
    rewards = np.where(mask, floats[2], 0)
    alone, compared = advantages(1), advantages(2)
    # An ended row counts with the advantage of its last token.
    last = alone[[0, 1, 2, 3], [2, 1, 2, 0]]
    held = np.where(mask, alone, last[:, None])
    expected = np.where(mask, alone - held[[1, 0, 3, 2]], 0)
    np.testing.assert_allclose(compared, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["ppo", "grpo"])
def test_approximate_kl_is_that_of_the_old_policy_to_the_new(
    name, make_batch, learn
):
    """r - 1 - log r for r = new / old: the other way round is another one."""
    rollout, rewards, scores = make_batch()
    scores = scores._replace(log_probs=rollout.log_probs + np.float32(0.5))
    options = {"samples_per_prompt": 2} if name == "grpo" else {}
    algorithm = algorithms.get(name, **options)
    _, _, metrics = learn(algorithm, rollout, rewards, scores)
    found = metrics["approximate_kl"].numpy()[rollout.mask]
    np.testing.assert_allclose(found, np.exp(0.5) - 1 - 0.5, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["reinforce", "actor_critic", "ppo", "grpo", "mixed"]
)
def test_a_scheduled_entropy_weight_follows_its_schedule(
    name, make_batch, complete
):
    weight = "entropy_weight=linear(1.0, 0.0, steps=4)"
    if name == "mixed":
        algorithm = algorithms.parse(f"mixed(algorithm=reinforce({weight}))")
    else:
        algorithm = algorithms.parse(f"{name}({weight})")
    rollout, rewards, scores = make_batch()
    if name == "grpo":
        algorithm = dataclasses.replace(algorithm, samples_per_prompt=2)
    batch = complete(algorithm, rollout, rewards)
    losses = [
        algorithm.loss(
            batch._replace(settings=algorithm.settings(step)), scores
        )[0].numpy()
        for step in (0, 1, 4)
    ]
    bonus = np.where(rollout.mask, scores.entropy, 0)
    np.testing.assert_allclose(losses[2] - losses[0], bonus, atol=1e-6)
    np.testing.assert_allclose(losses[1] - losses[0], bonus / 4, atol=1e-6)


@pytest.mark.parametrize("name", ["ppo", "actor_critic"])
def test_answers_to_a_prompt_are_compared_only_if_asked(name, make_batch):
    rollout, rewards, _ = make_batch()
    alone = algorithms.get(name, whiten=False)
    apart = algorithms.get(
        name, whiten=False, samples_per_prompt=2, compare=False
    )
    wanted = alone.targets(rollout, rewards)
    found = apart.targets(rollout, rewards)
    np.testing.assert_array_equal(found.advantages, wanted.advantages)
    compared = dataclasses.replace(apart, compare=True)
    gap = compared.targets(rollout, rewards).advantages - wanted.advantages
    assert np.abs(gap).max() > 0.01
