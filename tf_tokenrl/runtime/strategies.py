"""Which devices a run uses, chosen by one word."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from tf_tokenrl.errors import TokenRLError, unknown

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
NAMES = ("default", "one_device", "mirrored", "multi_worker", "tpu")


def strategy(name: str = "default") -> tf.distribute.Strategy:
    """The `tf.distribute` strategy called `name`.

    Args:
        name: "default" runs where TensorFlow chooses; "one_device" on the
            first GPU, or the CPU; "mirrored" on all GPUs of this machine, or
            on all logical CPUs where there is no GPU; "multi_worker" on the
            workers that the variable TF_CONFIG lists; "tpu" on the TPU that
            this machine is attached to.

    Raises:
        TokenRLError: unknown name, or no TPU is to be found.
    """
    if name == "default":
        return tf.distribute.get_strategy()
    if name == "one_device":
        return tf.distribute.OneDeviceStrategy(_devices()[0])
    if name == "mirrored":
        return tf.distribute.MirroredStrategy(_devices())
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return _tpu()
    raise unknown("strategy", name, NAMES)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes what all share."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if resolver.task_type == "chief":
        return True
    spec = resolver.cluster_spec().as_dict()
    first = resolver.task_type == "worker" and resolver.task_id == 0
    return first and "chief" not in spec


@contextlib.contextmanager
def lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Say it in one sentence when another worker went away.

    Raises:
        TokenRLError: one did.
    """
    try:
        yield
    except _LOST as error:
        if strategy.cluster_resolver is None:
            raise
        raise TokenRLError(
            "Another worker of this run was lost: start all workers again "
            "with --resume."
        ) from error


def _devices() -> list[str]:
    """The GPUs, or the logical CPUs of a machine without."""
    gpus = tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return [f"{d.device_type}:{i}" for i, d in enumerate(devices)]


def _tpu() -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise TokenRLError(
            f"No TPU was found ({error}); choose another strategy, such as "
            '"default" or "mirrored".'
        ) from error
    return tf.distribute.TPUStrategy(resolver)
