"""What is added to any role of any model is there in every pass."""

import numpy as np
import pytest
import tensorflow as tf

from tests.support import tiny
from tf_tokenrl.adapters.base import Adapter, added, widths

ROLES = ("query", "key", "value", "attention_output", "up", "down")
OF = {
    "gpt2": (*ROLES, "embedding", "logits"),
    "llama": (*ROLES, "gate", "embedding", "logits"),
    "bart": (
        *ROLES,
        *("cross_query", "cross_key", "cross_value", "cross_output"),
        *("embedding", "logits"),
    ),
    "bert": (*ROLES, "embedding"),
}


class Constant(Adapter):
    """Adds numbers to what the maps of one role give.

    Keys are scaled: a vector that all keys have more changes no softmax.
    """

    def __init__(self, role):
        super().__init__()
        self.roles = (role,)

    def add(self, path, leaves):
        self.number(path, "constant", [widths(leaves)[1]], "ones")

    def entries(self, path, entries):
        """Not the same for all outputs: a softmax would not see that."""
        constant = self.value(path, "constant")
        slope = tf.cast(tf.range(tf.size(constant)) % 3, tf.float32)
        if path.endswith("key"):
            return added(entries, scale=1.0 + slope * constant)
        return added(entries, shift=slope * constant)


def passes(policy):
    """Log-probs of answers by sampling, by packing, and by whole rows."""
    if hasattr(policy, "encoder"):
        rollout = tiny.sample(policy, ["open a file", "the name"])
        return [rollout.log_probs, policy.score(rollout).log_probs.numpy()]
    prompts = ["open a file", "open a file", "the name"]
    rollout = tiny.sample(policy, prompts)
    packed = policy.score(rollout).log_probs.numpy()
    policy.packs = False
    plain = policy.score(rollout).log_probs.numpy()
    del policy.packs
    return [rollout.log_probs, packed, plain]


FAST = [("gpt2", "query"), ("llama", "gate"), ("bert", "up")]
SLOW = [(name, role) for name in OF for role in OF[name]]
SLOW = [case for case in SLOW if case not in FAST]


@pytest.mark.parametrize(
    ("name", "role"),
    FAST + [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW],
)
def test_every_pass_sees_what_is_added_to_a_role(name, role):
    make = tiny.label_policy if name == "bert" else tiny.policy
    policy = make(name)
    base = policy.score(tiny.sample(policy, ["open a file"])).log_probs
    policy.add_adapter("constant", Constant(role))
    first, *others = passes(policy)
    for other in others:
        np.testing.assert_allclose(first, other, atol=2e-5)
    rollout = tiny.sample(policy.reference(), ["open a file"])
    np.testing.assert_array_equal(
        policy.reference().score(rollout).log_probs, base
    )
    changed = policy.score(rollout).log_probs
    assert np.abs(changed - base).max() > 1e-3
