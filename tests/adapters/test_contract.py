"""What every adapter promises, on a policy of each kind."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl import adapters, catalog
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies import storage

METHODS = {
    "bitfit": "bitfit()",
    "bottleneck": "bottleneck(width=3)",
    "full": "full()",
    "head_only": "head_only()",
    "lora": "lora(rank=2, alpha=5, roles=('query', 'up', 'down'))",
    "dora": "lora(rank=2, roles=('key', 'attention_output'), dora=True)",
    "prefix_tuning": "prefix_tuning(length=3)",
    "prompt_tuning": "prompt_tuning(length=3)",
}
FAST = [("gpt2", "lora"), ("llama", "prompt_tuning"), ("bert", "lora")]
SLOW = [("gpt2", method) for method in METHODS if method != "lora"]
SLOW += [("llama", "lora"), ("llama", "dora"), ("llama", "full")]
SLOW += [("bart", "lora"), ("bart", "prefix_tuning"), ("bert", "head_only")]
CASES = FAST + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW]
PROMPTS = ["open a file", "open a file", "the name"]


def made(kind, seed=0):
    make = tiny.label_policy if kind == "bert" else tiny.policy
    return make(kind, seed)


def with_adapter(kind, method):
    policy = made(kind)
    policy.add_adapter("a", METHODS[method])
    return policy


def stir(policy, seed=1):
    """Numbers of the adapter that is on, far from where they began."""
    rng = np.random.default_rng(seed)
    for variable in policy.trainable_variables:
        variable.assign_add(rng.normal(0, 0.3, variable.shape))


def answers(policy):
    pairs = {
        True: ["O B-X I-X", "O B-X I-X", "O O"],
        False: ["list", "list a", "a name"],
    }
    return policy.encode_pairs(PROMPTS, pairs[hasattr(policy, "encoder")])


def judged(policy):
    scores = policy.score(answers(policy))
    return [np.asarray(x) for x in (scores.log_probs, scores.values)]


def test_every_method_has_a_case():
    assert set(catalog.names(adapters)) == set(METHODS) - {"dora"}


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_an_adapter(kind, method, tmp_path):
    """One policy for many promises, for to trace it is what takes time."""
    policy = made(kind)
    base = judged(policy)
    weights = [w.numpy() for w in policy.weights]
    policy.add_adapter("a", METHODS[method])

    # It begins as the base, where it can; and the base is never written to.
    begun = judged(policy)
    if policy.adapters["a"].begins_as_base:
        for found, expected in zip(begun, base, strict=True):
            np.testing.assert_allclose(found, expected, atol=2e-5)
    reference, start = policy.reference(), policy.frozen_copy()
    assert not reference.trainable_variables and not start.trainable_variables

    # Only its own numbers learn, and every role's do.
    learn = policy.trainable_variables
    assert {id(v) for v in learn} == {
        id(v) for v in policy.adapters["a"].trainable_variables
    }
    stir(policy)
    with tf.GradientTape() as tape:
        scores = policy.score(answers(policy))
        loss = tf.reduce_sum(scores.log_probs)
        loss += tf.reduce_sum(tf.square(scores.values))
    slopes = tape.gradient(loss, [v.value for v in learn])
    slopes = [tf.convert_to_tensor(slope) for slope in slopes]
    # A key's bias shifts all scores of a query alike.
    silent = [
        v.path
        for v, s in zip(learn, slopes, strict=True)
        if not np.any(s) and ".key.shift" not in v.path
    ]
    assert not silent

    # Sampling, packing and whole rows see it alike.
    changed = judged(policy)
    assert np.abs(changed[0] - base[0]).max() > 1e-3
    rollout = tiny.sample(policy, PROMPTS)
    recorded = policy.score(rollout).log_probs
    np.testing.assert_allclose(rollout.log_probs, recorded, atol=3e-5)

    # Off is bitwise the base, and a frozen copy what it was.
    for found, expected in zip(judged(reference), base, strict=True):
        np.testing.assert_array_equal(found, expected)
    for found, expected in zip(judged(start), begun, strict=True):
        np.testing.assert_array_equal(found, expected)
    kept = [w.numpy() for w in made_of(policy)]
    for found, expected in zip(kept, weights, strict=True):
        np.testing.assert_array_equal(found, expected)

    # A policy's file brings all of it back.
    storage.save(policy, tmp_path / "policy.keras")
    loaded = storage.load(tmp_path / "policy.keras")
    assert [v.path.split("/")[-1] for v in loaded.trainable_variables] == [
        v.path.split("/")[-1] for v in learn
    ]
    for found, expected in zip(judged(loaded), changed, strict=True):
        np.testing.assert_array_equal(found, expected)
    with loaded.adapter(None):
        for found, expected in zip(judged(loaded), base, strict=True):
            np.testing.assert_array_equal(found, expected)

    # So does a file of its own, on the same base and on no other.
    policy.save_adapter(tmp_path / "a.safetensors")
    fresh = made(kind)
    fresh.add_adapter("other", "bitfit()")
    fresh.load_adapter(tmp_path / "a.safetensors", "a")
    for found, expected in zip(judged(fresh), changed, strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(TokenRLError, match="other weights"):
        made(kind, 1).load_adapter(tmp_path / "a.safetensors", "a")

    # Weights that do the same.
    tied = kind in ("gpt2", "bart") and method == "head_only"
    if not policy.adapters["a"].mergeable or tied:
        with pytest.raises(TokenRLError, match="export the policy"):
            policy.merge()
        return
    merged = policy.merge()
    assert not merged.adapters
    assert merged.count_params() == sum(w.size for w in weights)
    for found, expected in zip(judged(merged), changed, strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5)
    for found, expected in zip(judged(policy), changed, strict=True):
        np.testing.assert_array_equal(found, expected)


def made_of(policy):
    """The weights of a policy without adapters."""
    inside = {id(w) for a in policy.adapters.values() for w in a.weights}
    return [w for w in policy.weights if id(w) not in inside]
