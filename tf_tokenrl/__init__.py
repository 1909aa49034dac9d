"""Token-level reinforcement learning of language models in Keras.

    import tf_tokenrl as rl

    task = rl.tasks.get("headline", data="runs/demo/data")
    policy = rl.load("runs/demo/sft/policy.keras")

Names are resolved on first use, so that `tf_tokenrl.client` stays free of
TensorFlow and `tf-tokenrl --help` answers at once.
"""

import importlib
import os

from tf_tokenrl import extras

__version__ = "0.1.0"

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_HOMES = {
    "CausalPolicy": "tf_tokenrl.policies.causal",
    "EncoderDecoderPolicy": "tf_tokenrl.policies.encoder_decoder",
    "LabelPolicy": "tf_tokenrl.policies.label",
    "RecurrentPolicy": "tf_tokenrl.policies.recurrent",
    "RewardProcesses": "tf_tokenrl.training.rollouts.reward_processes",
    "RolloutSource": "tf_tokenrl.training.rollouts.source",
    "Sampling": "tf_tokenrl.decoding.sampling",
    "Exploration": "tf_tokenrl.training.rollouts.exploration",
    "Trainer": "tf_tokenrl.training.trainer",
    "TrainerOptions": "tf_tokenrl.training.options",
    "KlLoss": "tf_tokenrl.training.updates.kl_loss",
    "Client": "tf_tokenrl.client",
    "Example": "tf_tokenrl.flow",
    "Response": "tf_tokenrl.flow",
    "Rollout": "tf_tokenrl.flow",
    "TokenRLError": "tf_tokenrl.errors",
    "load": "tf_tokenrl.policies.storage",
}
_PACKAGES = (
    "algorithms",
    "callbacks",
    "policies",
    "ops",
    "rewards",
    "schedules",
    "tasks",
)


def __getattr__(name: str):
    with extras.explaining():
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        if name in _PACKAGES:
            return importlib.import_module(f"tf_tokenrl.{name}")
    raise AttributeError(f"module 'tf_tokenrl' has no attribute '{name}'")


def __dir__():
    return sorted([*globals(), *_HOMES, *_PACKAGES])
