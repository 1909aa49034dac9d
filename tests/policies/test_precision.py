"""One option says in which numbers a policy computes, everywhere."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage
from tf_tokenrl.policies.precision import in_dtype

PROMPTS = ["the name of a given file", "", "open"]
BOUND = 0.3  # nats; the products of bfloat16 have 8 bits


def dtypes(policy, kind):
    layers = [policy.backbone.token_embedding, policy.value_head]
    return [getattr(layer, kind) for layer in layers]


@pytest.mark.parametrize(
    ("dtype", "weights"),
    [
        ("mixed_bfloat16", "float32"),
        pytest.param("bfloat16", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_it_samples_scores_learns_and_is_stored(dtype, weights, tmp_path):
    before = tiny.shared_policy("gpt2")
    policy = in_dtype(before, dtype)
    assert dtypes(policy, "compute_dtype") == ["bfloat16", "float32"]
    assert dtypes(policy, "variable_dtype") == [weights, "float32"]
    assert dtypes(before, "compute_dtype") == ["float32", "float32"]
    for one, other in zip(policy.weights, before.weights, strict=True):
        wanted = tf.cast(other.value, one.dtype)
        np.testing.assert_array_equal(one.numpy(), wanted)
    pairs = before.encode_pairs(PROMPTS, ["list", "a number", "the"])
    gap = policy.score(pairs).log_probs - before.score(pairs).log_probs
    assert 0 < np.abs(gap[pairs.mask]).max() < BOUND
    trainer = toy.trainer(policy=policy, learning_rate=0.01)
    kept = trainer.reference.get_weights()
    logs = trainer.fit(toy.EXAMPLES, steps=2, batch_size=8)
    assert all(np.isfinite(list(logs[-1].values())))
    moved = zip(policy.get_weights(), kept, strict=True)
    assert any((a != b).any() for a, b in moved)
    loaded = storage.load(storage.save(policy, tmp_path / "policy.keras"))
    assert dtypes(loaded, "compute_dtype") == ["bfloat16", "float32"]
    again = loaded.score(pairs).log_probs
    np.testing.assert_array_equal(again, policy.score(pairs).log_probs)


def test_mixed_precision_keeps_the_weights():
    before = tiny.shared_policy("gru")
    mixed = in_dtype(before, "mixed_bfloat16")
    assert mixed.recurrent_layers[0].compute_dtype == "bfloat16"
    back = in_dtype(mixed, "float32")
    for one, other in zip(
        back.get_weights(), before.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_what_need_not_change_is_left_alone():
    policy = tiny.shared_policy("gru")
    assert in_dtype(policy, "") is policy
    assert in_dtype(policy, "float32") is policy
    with pytest.raises(TokenRLError, match='dtype "float16"'):
        in_dtype(policy, "float16")
