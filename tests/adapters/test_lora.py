"""The numbers of LoRA and DoRA, on maps small enough to write down."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl import adapters
from tf_tokenrl.adapters.shared import merging
from tf_tokenrl.backbones import linear
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.policies.precision import in_dtype


def attached(expression, kernel, bias=None, dtype="float32"):
    """An adapter of a single map "up", and that map's leaves."""
    layer = keras.layers.Dense(
        len(kernel[0]), use_bias=bias is not None, dtype=dtype
    )
    layer.build((None, len(kernel)))
    layer.set_weights([np.array(x, float) for x in (kernel, bias) if x])
    leaves = {"layers": [{"up": linear.of_layer(layer)}]}
    adapter = adapters.parse(expression)
    adapter.attach(None, leaves, ())
    return adapter, leaves


def applied(adapter, leaves, x):
    wrapped = adapter.wrap(linear.values(leaves))
    return linear.apply(wrapped["layers"][0], tf.constant(x), "up").numpy()


@pytest.mark.parametrize(
    ("options", "factor"),
    [
        ("rank=2, alpha=4", 2.0),
        ("rank=2, alpha=4, rank_stabilized=True", 4 / 2**0.5),
        ("rank=2", 1.0),
        ("rank=8, alpha=2", 0.25),
    ],
)
def test_the_factor(options, factor):
    zeros = [[0.0, 0.0, 0.0]] * 4
    adapter, leaves = attached(f"lora({options}, roles=('up',))", zeros)
    for variable in adapter.trainable_variables:
        variable.assign(tf.ones_like(variable))
    rank = adapter.rank
    x = [[1.0, 0.0, 0.0, 0.0]]
    np.testing.assert_allclose(applied(adapter, leaves, x), factor * rank)


def test_dora_scales_the_columns_of_outputs():
    """Rows of outputs [[3, 4], [0, 5]] with magnitudes [10, 5]."""
    adapter, leaves = attached(
        "lora(rank=1, roles=('up',), dora=True)",
        [[3.0, 0.0], [4.0, 5.0]],
        [1.0, 2.0],
    )
    np.testing.assert_allclose(
        applied(adapter, leaves, [[1.0, 0.0]]), [[4.0, 2.0]]
    )
    adapter.numbers()["layers.0.up.magnitude"].assign([10.0, 5.0])
    found = applied(adapter, leaves, [[1.0, 0.0], [0.0, 1.0]]) - [1.0, 2.0]
    np.testing.assert_allclose(found, [[6.0, 0.0], [8.0, 5.0]], atol=1e-6)
    written = merging.merged(
        adapter, linear.values(leaves), {"logits": {}, **leaves}
    )
    (entries,) = written.values()
    np.testing.assert_allclose(entries["kernel"], [[6, 0], [8, 5]], atol=1e-6)
    np.testing.assert_allclose(entries["bias"], [1.0, 2.0], atol=1e-6)


def test_small_changes_are_rounded_once():
    """1.0 + 0.003 is 1.0 in bfloat16, and so is the sum; the base stays."""
    adapter, leaves = attached(
        "lora(rank=1, roles=('up',))", [[1.0]], dtype="bfloat16"
    )
    for variable in adapter.trainable_variables:
        variable.assign([[0.003**0.5]])
    values = linear.values(leaves)
    for _ in range(3):
        written = merging.merged(adapter, values, {"logits": {}, **leaves})
        (entries,) = written.values()
        np.testing.assert_allclose(entries["kernel"], 1.003, rtol=1e-6)
    leaf = leaves["layers"][0]["up"]["kernel"]
    assert leaf.tensor().numpy().item() == 1.0


def test_the_pull_towards_the_base():
    adapter, leaves = attached(
        "lora(rank=1, roles=('up',), l1=10.0, l2=1.0)", [[0.0, 0.0]]
    )
    numbers = adapter.numbers()
    numbers["layers.0.up.down"].assign([[2.0]])
    numbers["layers.0.up.up"].assign([[1.0, -3.0]])
    found = adapter.penalty(linear.values(leaves))
    assert float(found) == 10 * (2 + 6) + (4 + 36)


def test_a_role_that_is_not_there_is_refused():
    with pytest.raises(TokenRLError, match="'quary'|quary.*query"):
        tiny.policy("gpt2").add_adapter("a", "lora(roles=('quary',))")
    with pytest.raises(TokenRLError, match="value_head"):
        tiny.policy("gpt2").add_adapter("a", "lora(roles=('value_head',))")
    with pytest.raises(TokenRLError, match="rank of"):
        adapters.parse("lora(rank=0)")


def test_half_precision_keeps_its_adapter():
    policy = tiny.policy("llama")
    policy.add_adapter("a", "lora(rank=2)")
    half = in_dtype(policy, "mixed_bfloat16")
    assert half.active == "a"
    assert {v.dtype for v in half.trainable_variables} == {"float32"}
    rollout = tiny.sample(half, ["open a file"])
    assert np.isfinite(rollout.log_probs).all()
