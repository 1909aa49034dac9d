"""Every algorithm of the library, in every way it can be set up."""

import pytest

from tf_tokenrl import algorithms, catalog
from tf_tokenrl.schedules import get as schedule

NAMES = catalog.names(algorithms)
PAIRS = {"samples_per_prompt": 2}
FALLING = schedule("linear", 0.5, 0.0, steps=10)
VARIANTS = [
    *((name, {}) for name in NAMES),
    ("reinforce", {"baseline": "none", "discount": 0.9}),
    ("reinforce", {"baseline": "moving_mean"}),
    ("reinforce", {"baseline": "self_critical", "discount": 0.9}),
    ("reinforce", {"baseline": "leave_one_out", **PAIRS}),
    ("reinforce", {"baseline": "value", "whiten": True}),
    ("actor_critic", {"whiten": False, "entropy_weight": FALLING}),
    ("actor_critic", {"steps": 2, "discount": 0.9, **PAIRS}),
    ("ppo", {"value_clip": None, "discount": 0.9, "entropy_weight": 0.1}),
    ("ppo", {"clip": 0.01, "value_clip": 0.01, "target_kl": 0.01}),
    ("ppo", {"whiten": "minibatch"}),
    ("grpo", {"scale": False, "normalization": "constant", **PAIRS}),
    ("grpo", {"credit": "token", "normalization": "token", **PAIRS}),
    ("grpo", {"clip": 0.01, "clip_high": 0.02, "entropy_weight": 0.1}),
    ("off_policy", {"cap": 1.1, "whiten": True, "entropy_weight": 0.1}),
    ("mixed", {"algorithm": "ppo", "imitation_weight": FALLING}),
    ("mixer", {"algorithm": "actor_critic", "supervised_steps": 2}),
]
each_variant = pytest.mark.parametrize(
    "algorithm",
    [algorithms.get(name, **options) for name, options in VARIANTS],
    ids=[f"{name}-{options}" for name, options in VARIANTS],
)
