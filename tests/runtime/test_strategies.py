import subprocess
import sys
import types

import pytest
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.runtime import strategies

TWO_REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)

from tf_tokenrl import distribution
from tf_tokenrl.training.rollouts.sampler import join_replicas, replica_rows
from tf_tokenrl.decoding.sampling import row_seeds, uniforms

strategy = distribution.strategy("mirrored")
assert strategy.num_replicas_in_sync == 2, strategy
assert distribution.strategy("one_device").num_replicas_in_sync == 1

@tf.function
def noise():
    def replica():
        rows = replica_rows(6)
        seeds = tf.gather(row_seeds(1, 0, 6), rows)
        return join_replicas(rows), join_replicas(uniforms(seeds, 3))
    found = strategy.run(replica)
    return [strategy.experimental_local_results(x)[0] for x in found]

rows, drawn = noise()
assert list(rows.numpy()) == list(range(6)), rows
alone = uniforms(row_seeds(1, 0, 6), 3)
assert (drawn.numpy() == alone.numpy()).all()
assert len(set(alone.numpy()[:, 0, 0])) == 6
"""


@pytest.mark.slow
def test_two_replicas_share_the_rows_and_no_noise():
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", ["default", "one_device", "mirrored"])
def test_one_machine_needs_no_set_up(name):
    strategy = strategies.strategy(name)
    with strategy.scope():
        assert tf.distribute.get_strategy() is strategy
        variable = tf.Variable(1.0)
    assert strategy.num_replicas_in_sync >= 1
    (held,) = strategy.experimental_local_results(variable)
    assert float(held) == 1.0


def test_an_unknown_strategy_is_named():
    with pytest.raises(TokenRLError, match='"mirrord".*"mirrored"'):
        strategies.strategy("mirrord")


def of_workers(task_type, task_id, **cluster):
    """A strategy that knows its place in a cluster."""
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=task_type, task_id=task_id
    )
    return types.SimpleNamespace(cluster_resolver=resolver)


def test_one_process_writes_for_all():
    two = {"worker": ["localhost:1", "localhost:2"]}
    assert strategies.is_chief(tf.distribute.get_strategy())
    assert strategies.is_chief(strategies.strategy("one_device"))
    assert strategies.is_chief(of_workers("worker", 0, **two))
    assert not strategies.is_chief(of_workers("worker", 1, **two))
    two["chief"] = ["localhost:3"]
    assert strategies.is_chief(of_workers("chief", 0, **two))
    assert not strategies.is_chief(of_workers("worker", 0, **two))


def test_a_lost_worker_is_told_in_one_sentence():
    lost = tf.errors.UnavailableError(None, None, "connection reset\nand more")
    workers = of_workers("worker", 0, worker=["localhost:1", "localhost:2"])
    with (
        pytest.raises(TokenRLError, match="was lost.*--resume") as told,
        strategies.lost_workers(workers),
    ):
        raise lost
    assert "\n" not in str(told.value)
    alone = strategies.strategy("one_device")
    with (
        pytest.raises(tf.errors.UnavailableError),
        strategies.lost_workers(alone),
    ):
        raise lost
