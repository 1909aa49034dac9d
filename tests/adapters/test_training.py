"""Training with an adapter: what learns, what it costs, what is sampled."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.backbones import linear
from tf_tokenrl.backbones.attention import Grid
from tf_tokenrl.backbones.layers import Kind, Reading, read_layer
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.runtime.tracing import Graph


def test_a_graph_follows_the_switch():
    """Whatever was traced before: other adapters, none, and the first again."""
    policy = tiny.policy("llama")
    policy.add_adapter("a", "lora(rank=2)")
    policy.add_adapter("b", "lora(rank=3)")
    for name in ("a", "b"):
        with policy.adapter(name):
            for variable in policy.trainable_variables:
                variable.assign_add(
                    0.3 * tf.random.stateless_normal(variable.shape, [3, 4])
                )
    pairs = policy.encode_pairs(["open"], ["the name of a list"])
    graph = Graph(
        lambda ids, mask, x, y: (
            policy.score(
                pairs._replace(
                    prompt_ids=ids, prompt_mask=mask, actions=x, mask=y
                )
            ).log_probs
        )
    )

    def run():
        given = pairs.prompt_ids, pairs.prompt_mask, pairs.actions, pairs.mask
        return graph(*given).numpy()

    found = {}
    for name in ("a", None, "b", "a", None):
        with policy.adapter(name):
            now, eager = run(), policy.score(pairs).log_probs
        np.testing.assert_allclose(now, eager, atol=1e-5)
        np.testing.assert_array_equal(now, found.setdefault(name, now))
    assert len({x.tobytes() for x in found.values()}) == 3
    assert len(graph._traced) == 3


def test_frozen_weights_get_no_gradient_work():
    """No product of a layer's gradient is as large as a kernel."""
    policy = tiny.policy("llama")
    transformer = policy.transformer()
    weights = transformer.weights["layers"][0]
    place = Grid(tf.constant([2, 3]))
    turn = transformer.rotation(place.positions)
    once = Reading(place, place.causal(transformer.group), turn)

    def products(frozen):
        kind = Kind(transformer.architecture, frozen)

        @tf.function(autograph=False)
        def gradient(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y, *_ = read_layer(kind, weights, x, once, None)
            return tape.gradient(y, x)

        graph = gradient.get_concrete_function(tf.zeros([6, 16])).graph
        functions = graph.as_graph_def().library.function
        return sum(map(needed_products, functions))

    # Each of the four kernels of a layer is spared its own.
    assert products(True) == products(False) - 4


def needed_products(function):
    """Products of a graph's function that its results depend on."""
    nodes = {node.name: node for node in function.node_def}
    left = [name.partition(":")[0] for name in function.ret.values()]
    seen = set()
    while left:
        name = left.pop().lstrip("^")
        if name in nodes and name not in seen:
            seen.add(name)
            left += [x.partition(":")[0] for x in nodes[name].input]
    return sum(nodes[name].op == "MatMul" for name in seen)


def test_base_and_slots_of_an_optimizer():
    """Weight decay does not move what is frozen, and slots are few."""
    policy = tiny.policy("gpt2")
    weights = [w.numpy() for w in policy.backbone.weights]
    policy.add_adapter("a", "lora(rank=2)")
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    optimizer.build(policy.trainable_variables)
    slots = sum(np.size(v) for v in optimizer.variables if np.ndim(v))
    learn = policy.report()["trainable"]
    assert slots == 2 * learn
    pairs = policy.encode_pairs(["open"] * 2, ["the name of a list"] * 2)
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(policy.score(pairs).log_probs)
        variables = policy.trainable_variables
        slopes = tape.gradient(
            loss, [v.value for v in variables], unconnected_gradients="zero"
        )
        optimizer.apply(slopes)
    for variable, before in zip(policy.backbone.weights, weights, strict=True):
        np.testing.assert_array_equal(variable, before)
    for name, variable in policy.adapters["a"].numbers().items():
        assert np.any(variable.numpy()), name


def test_virtual_tokens_are_those_that_they_stand_for():
    """An exact oracle: the embeddings of real tokens before the prompt."""
    for kind in ("gpt2", "llama"):
        policy = tiny.policy(kind, max_prompt_tokens=16)
        pairs = policy.encode_pairs(["open a file", "the"], ["list", "a name"])
        ids = [7, 11, 5]
        lengths = np.asarray(pairs.prompt_mask).sum(-1)
        longer = np.zeros((2, lengths.max() + 3), np.int32)
        for row, length in enumerate(lengths):
            own = np.asarray(pairs.prompt_ids)[row, :length]
            longer[row, : length + 3] = [*ids, *own]
        mask = np.arange(longer.shape[1])[None] < (lengths + 3)[:, None]
        expected = policy.score(
            pairs._replace(prompt_ids=longer, prompt_mask=mask)
        )
        greedy = tiny.roll_out(policy, longer, mask, temperature=0.0)

        policy.add_adapter("prompt", "prompt_tuning(length=3)")
        table = linear.values(policy.leaves)["embedding"]["table"]
        policy.adapters["prompt"].numbers()["prompt.virtual"].assign(
            tf.gather(table, ids)
        )
        assert_same(policy, pairs, expected, greedy)
        prefixed = policy.transformer().weights["layers"]
        policy.add_adapter("prefix", "prefix_tuning(length=3)")
        numbers = policy.adapters["prefix"].numbers()
        for number, layer in enumerate(prefixed):
            for name, value in layer["prefix"].items():
                numbers[f"layers.{number}.{name}"].assign(value)
        assert_same(policy, pairs, expected, greedy)


def assert_same(policy, pairs, expected, greedy):
    for packs in (True, False):
        policy.packs = packs
        found = policy.score(pairs)
        for name in ("log_probs", "values"):
            mine, theirs = (
                np.where(pairs.mask, getattr(x, name), 0.0)
                for x in (found, expected)
            )
            np.testing.assert_allclose(mine, theirs, atol=2e-5)
    del policy.packs
    again = tiny.roll_out(
        policy, pairs.prompt_ids, pairs.prompt_mask, temperature=0.0
    )
    np.testing.assert_array_equal(again.actions, greedy.actions)
    np.testing.assert_allclose(again.log_probs, greedy.log_probs, atol=2e-5)


def test_virtual_tokens_count_as_positions():
    policy = tiny.policy("gpt2", max_prompt_tokens=50)
    with pytest.raises(TokenRLError, match="64 positions, too few"):
        policy.add_adapter("a", "prompt_tuning(length=7)")


def test_models_that_are_not_known_have_no_adapters():
    with pytest.raises(TokenRLError, match="whose layers are known"):
        tiny.policy("lstm").add_adapter("a", "lora()")
