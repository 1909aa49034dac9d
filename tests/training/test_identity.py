"""A run of an older version is the same run."""

import pytest

from tests.support import toy
from tf_tokenrl import algorithms
from tf_tokenrl.schedules import get as schedule
from tf_tokenrl.training import identity

# As commit 50f483e wrote it, without `normalization`.
PPO = (
    "Ppo(clip=0.2, value_clip=0.2, discount=1.0, trace_decay=0.95, epochs=2, "
    "minibatches=1, value_weight=0.1, entropy_weight=0.0, whiten=True, "
    "target_kl=None, samples_per_prompt=1)"
)


def test_options_that_came_later_have_their_defaults():
    now = repr(algorithms.get("ppo", epochs=2))
    assert now != PPO and identity.same("algorithm", PPO, now)
    for other in ({"epochs": 3}, {"epochs": 2, "normalization": "constant"}):
        changed = repr(algorithms.get("ppo", **other))
        assert not identity.same("algorithm", PPO, changed)


@pytest.mark.parametrize(
    "algorithm",
    [
        algorithms.get("actor_critic", steps=2),
        algorithms.get(
            "ppo", entropy_weight=schedule("linear", 0.1, 0.0, steps=4)
        ),
        algorithms.get("mixer", algorithm="reinforce(baseline='none')"),
    ],
)
def test_every_algorithm_is_read_back(algorithm):
    text = repr(algorithm)
    name = "normalization='token'"
    old = text.replace(f", {name}", "").replace(f"{name}, ", "")
    assert identity.same("algorithm", old, text)


def test_rewards_are_read_back_too():
    assert identity.same(
        "reward", "'tests.support.toy:Count'()", repr(toy.Count())
    )
    assert not identity.same(
        "reward", "'tests.support.toy:Count'()", repr(toy.Count(6))
    )
    assert not identity.same("seed", 1, 2)
