"""Run by test_learner.py: the same supervised run on one device and on two."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.support import tiny, toy
from tf_tokenrl.runtime import strategies
from tf_tokenrl.training.learner import Learner
from tf_tokenrl.training.objectives.likelihood import Likelihood
from tf_tokenrl.training.updates.adam import Adam


def main(folder: Path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    run("one_device", folder / "one_device.npz")
    run("mirrored", folder / "two_devices.npz", accumulation=2)


def run(strategy: str, file: Path, **settings):
    with strategies.strategy(strategy).scope():
        learner = Learner(
            tiny.policy("gru"),
            Likelihood(prompt_weight=0.2),
            Adam(1e-2, weight_decay=0.05),
            gradient_clip=0.05,
            **settings,
        )
    logs = learner.fit(toy.EXAMPLES, 2, 5, toy.EXAMPLES[:3])
    np.savez(
        file,
        replicas=learner.strategy.num_replicas_in_sync,
        norms=[log["gradient_norm"] for log in logs],
        losses=[log["loss"] for log in logs],
        validation=logs[-1]["validation/nll"],
        **{f"w{i}": w for i, w in enumerate(learner.policy.get_weights())},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
