"""Run by algorithms/test_replicas.py: every algorithm on one device and two.

Writes `gaps.json`: for each variant how far the weights of two devices are
from those of one after two steps, and how far those have moved.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.support import table, toy
from tests.support.variants import VARIANTS
from tf_tokenrl import algorithms
from tf_tokenrl.runtime import strategies


def main(folder: Path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    # One of each kind: two mirrored strategies in a process get in each
    # other's way.
    one, both = map(strategies.strategy, ("one_device", "mirrored"))
    gaps = {}
    for name, options in VARIANTS:
        algorithm = algorithms.get(name, **options)
        alone = weights(algorithm, one)
        shared = weights(algorithm, both, accumulation=2)
        start = table.policy().get_weights()
        gaps[f"{name}-{options}"] = (
            largest(alone, shared),
            largest(alone, start),
        )
    (folder / "gaps.json").write_text(json.dumps(gaps))


def weights(algorithm, strategy, **settings) -> list[np.ndarray]:
    """The weights after two steps; the halves of a batch differ in length."""
    with strategy.scope():
        trainer = toy.trainer(
            algorithm=algorithm,
            policy=table.policy(stop_ids=(3, 9, 17, 31)),
            reference=None,
            optimizer=keras.optimizers.SGD(1.0),
            gradient_clip=0.0,
            **settings,
        )
    trainer.fit(toy.EXAMPLES, steps=2, batch_size=8)
    return trainer.policy.get_weights()


def largest(first, second) -> float:
    pairs = zip(first, second, strict=True)
    return float(max(np.abs(a - b).max() for a, b in pairs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
