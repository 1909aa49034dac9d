"""Run by test_replicas.py: the same run on one device and on two.

Writes ids, rewards and weights of both as `one.npz` and `two.npz`, and what
two devices answer to one prompt as `same.npz`.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.support import toy
from tf_tokenrl.callbacks.checkpoint import Checkpoint
from tf_tokenrl.runtime import strategies


def main(folder: Path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
    run("one_device", folder / "one.npz")
    trainer = run("mirrored", folder / "two.npz", True, accumulation=2)
    resumed(trainer, folder)
    batch, _ = trainer.collect([toy.EXAMPLES[0]] * 8, step=99)
    np.savez(folder / "same.npz", actions=batch.rollout.actions)


def run(strategy: str, file: Path, recomputes: bool = False, **settings):
    with strategies.strategy(strategy).scope():
        trainer = toy.trainer(
            "gpt2",
            options={"epochs": 2, "samples_per_prompt": 2},
            policy={"stop_ids": (3, 9, 17, 31)},
            gradient_clip=0.05,
            **settings,
        )
    if recomputes:
        trainer.policy.checkpoint_gradients()
    seen = toy.Recorder(trainer)
    logs = trainer.fit(toy.EXAMPLES, steps=3, batch_size=8)
    np.savez(
        file,
        replicas=trainer.strategy.num_replicas_in_sync,
        gradient_norms=[log["gradient_norm"] for log in logs],
        **{f"actions_{i}": r.actions for i, r in enumerate(seen.rollouts)},
        **{f"mask_{i}": r.mask for i, r in enumerate(seen.rollouts)},
        **weights(trainer),
    )
    return trainer


def resumed(trainer, folder: Path):
    """The fourth step after a restore equals the fourth step without."""
    checkpoint = Checkpoint(trainer, folder / "checkpoints")
    checkpoint.save()
    trainer.fit(toy.EXAMPLES, steps=4, batch_size=8)
    np.savez(folder / "straight.npz", **weights(trainer))
    assert checkpoint.restore() == 3
    trainer.fit(toy.EXAMPLES, steps=4, batch_size=8)
    np.savez(folder / "resumed.npz", **weights(trainer))


def weights(trainer) -> dict[str, np.ndarray]:
    values = trainer.policy.get_weights()
    return {f"weight_{i}": value for i, value in enumerate(values)}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
