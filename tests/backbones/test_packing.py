import contextlib
import itertools

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.backbones.packing import equal_neighbours
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.causal import CausalPolicy

LENGTHS = [5, 5, 5, 1, 7, 7, 7]  # of prompts; the last three differ
SAME = [0, 0, 0, 1, 2, 2, 3]


def answers(counts, columns=8, seed=0):
    """Arguments of `answer_states`, with anything in the padding."""
    rng = np.random.default_rng(seed)
    size = tiny.tokenizer().vocabulary_size()
    prompts = rng.integers(0, size, (4, 9), np.int32)
    ids = np.where(
        np.arange(9)[None] < np.asarray(LENGTHS)[:, None],
        prompts[SAME],
        rng.integers(0, size, (7, 9), np.int32),
    )
    actions = rng.integers(0, size, (7, columns), np.int32)
    return [tf.constant(x, tf.int32) for x in (ids, LENGTHS, actions, counts)]


@contextlib.contextmanager
def own_passes_of_keras_hub(policy):
    """The policy knows no architecture in here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(policy.__dict__, "known", None)
        yield


def assert_alike(policy, given, tolerance):
    """States and gradients are those of the backbone's own forward pass."""
    variables = [v.value for v in policy.backbone.trainable_variables]
    chosen = tf.sequence_mask(given[3], tf.shape(given[2])[1])
    direction = tf.random.stateless_normal(
        [int(tf.math.count_nonzero(chosen)), policy.backbone.hidden_dim], [1, 2]
    )

    @tf.function
    def of(states):
        with tf.GradientTape() as tape:
            found = tf.boolean_mask(states(), chosen)
            found = tf.cast(found, tf.float32)
            loss = tf.reduce_mean(found * direction)
        slopes = tape.gradient(loss, variables, unconnected_gradients="zero")
        return found, [tf.convert_to_tensor(slope) for slope in slopes]

    found, slopes = of(lambda: policy.answer_states(*given))
    padded, others = of(lambda: policy.padded_states(*given))
    with own_passes_of_keras_hub(policy):
        plain, expected = of(lambda: policy.padded_states(*given))
    for states in (found, padded):
        np.testing.assert_allclose(states, plain, atol=tolerance)
    for three in zip(slopes, others, expected, strict=True):
        packed, padded, kept = (tf.cast(x, tf.float32) for x in three)
        np.testing.assert_allclose(packed, kept, atol=tolerance)
        np.testing.assert_allclose(padded, kept, atol=tolerance)


@pytest.mark.parametrize(
    "name", ["gpt2", "llama", pytest.param("bart", marks=pytest.mark.slow)]
)
def test_packed_answers_are_read_as_the_backbone_reads_them(name):
    policy = tiny.policy(name)
    assert_alike(policy, answers([8, 1, 3, 5, 0, 2, 8]), 1e-5)


def test_answers_of_a_single_token_need_prompts_alone():
    assert_alike(tiny.policy("gpt2"), answers([1, 0, 0, 1, 0, 0, 0]), 1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_layers_computed_again_give_the_same_gradients(name):
    policy = tiny.policy(name)
    policy.checkpoint_gradients()
    assert_alike(policy, answers([8, 1, 3, 5, 0, 2, 8]), 1e-5)


def most_held(recomputes):
    """Bytes that a gradient needs at once, of eight layers and long rows."""
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=64,
        num_layers=8,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=128,
        max_sequence_length=128,
    )
    policy = CausalPolicy(
        keras_hub.models.GPT2CausalLM(backbone),
        tokenizer=tiny.tokenizer(),
        max_prompt_tokens=120,
        max_new_tokens=8,
        answer_start_id=2,
    )
    if recomputes:
        policy.checkpoint_gradients()
    ids = tf.random.uniform([32, 120], 4, 64, tf.int32)
    given = (ids, tf.fill([32], 120), ids[:, :8], tf.fill([32], 8))
    variables = [v.value for v in policy.backbone.trainable_variables]

    @tf.function
    def gradient():
        with tf.device("CPU:0"), tf.GradientTape() as tape:
            loss = tf.reduce_sum(policy.answer_states(*given) ** 2)
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    gradient()
    try:
        tf.config.experimental.reset_memory_stats("CPU:0")
    except ValueError:
        pytest.skip("TensorFlow counts memory only where oneDNN is on")
    before = tf.config.experimental.get_memory_info("CPU:0")["current"]
    gradient()
    return tf.config.experimental.get_memory_info("CPU:0")["peak"] - before


def test_layers_computed_again_are_not_kept():
    """A step then holds one layer and not eight."""
    assert most_held(True) < 0.3 * most_held(False)


def test_layers_that_are_not_known_cannot_be_computed_again():
    with pytest.raises(TokenRLError, match="needs a GPT-2 or Llama"):
        tiny.policy("lstm").checkpoint_gradients()


def test_half_precision_differs_by_rounding_alone():
    """States have 8 bits; the bound is some times the last of them."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        policy = tiny.policy("gpt2")
    finally:
        keras.config.set_dtype_policy(before)
    assert_alike(policy, answers([8, 1, 3, 5, 0, 2, 8]), 0.1)


def test_neighbours_that_are_equal_form_a_group():
    ids, lengths, *_ = answers([1] * 7)
    groups, first = equal_neighbours(ids, lengths)
    assert groups.numpy().tolist() == SAME
    assert first.numpy().tolist() == [
        next(rows)
        for _, rows in itertools.groupby(range(7), key=SAME.__getitem__)
    ]


def test_a_prompt_that_another_begins_with_is_another():
    ids = tf.constant([[4, 5, 0], [4, 5, 0], [4, 5, 0]])
    groups, _ = equal_neighbours(ids, tf.constant([2, 3, 3]))
    assert groups.numpy().tolist() == [0, 1, 1]
