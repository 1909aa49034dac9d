"""What is no longer served takes no memory, garbage collector or not."""

import contextlib
import gc
import os
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tests.support import served
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.batching.batched import Batched
from tf_tokenrl.serving.batching.options import Options
from tf_tokenrl.serving.batching.scheduler import Scheduler
from tf_tokenrl.serving.config import configuration
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.request_context import Cancellation, RequestContext

SECONDS = 20
CONFIG = tf.compat.v1.ConfigProto()


@pytest.fixture(autouse=True)
def no_garbage_collector():
    gc.disable()
    yield
    gc.enable()


def ask(servable, x):
    signature = servable.signatures["serving_default"]
    return servable.run(
        {signature.inputs["x"].name: x},
        [signature.outputs["y"].name],
        RequestContext(0, Cancellation()),
    )[0]


def graph_of(servable):
    return weakref.ref(servable._session.graph)


def test_a_closed_version_is_freed_at_once(tmp_path):
    base = served.put(tmp_path, 1)
    servable = Servable(f"{base}/1", ["serve"], CONFIG)
    graph = graph_of(servable)
    assert ask(servable, np.float32([[1]])) == 2.5
    servable.close()
    assert graph() is not None
    del servable
    assert graph() is None


def test_threads_keep_no_version_whose_batch_they_ran(tmp_path):
    base = served.put(tmp_path, 1)
    with contextlib.closing(Scheduler(2)) as scheduler:
        servable = Servable(f"{base}/1", ["serve"], CONFIG)
        graph = graph_of(servable)
        batched = Batched(servable, scheduler, Options())
        for _ in range(5):
            assert ask(batched, np.float32([[1]])) == 2.5
        batched.close()
        del batched, servable
        end = time.monotonic() + SECONDS
        while graph() is not None and time.monotonic() < end:
            time.sleep(0.001)  # until the threads rest again
        assert graph() is None


def test_a_load_that_failed_keeps_nothing(tmp_path):
    loaded = []

    def load(path):
        servable = Servable(path, ["serve"], CONFIG)
        loaded.append(graph_of(servable))
        servable.close()
        raise ValueError("its warm-up failed")

    base = served.put(tmp_path, 1)
    flags = Flags(model_base_path=str(base), model_name="m")
    repository = Repository(configuration(flags), load, flags)
    repository.poll()
    (version,) = repository.versions("m")
    assert str(version.error) == "UNKNOWN: its warm-up failed"
    assert [graph() for graph in loaded] == [None]
    repository.stop()


def resident_mebibytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_fifty_swaps_of_versions_leave_no_memory_behind(tmp_path):
    """Each version holds 20 MiB of weights."""
    model = tf.Module()
    model.weights = tf.Variable(tf.ones([2048, 2560]))

    @tf.function(input_signature=[tf.TensorSpec([None, 2048], name="x")])
    def multiply(x):
        return {"y": x @ model.weights}

    saved = tmp_path / "saved"
    tf.saved_model.save(model, str(saved), {"serving_default": multiply})
    base = tmp_path / "versions"
    base.mkdir()
    flags = Flags(model_base_path=str(base), model_name="m")
    repository = Repository(
        configuration(flags),
        lambda path: Servable(path, ["serve"], CONFIG),
        flags,
    )
    x, sizes = np.ones([1, 2048], np.float32), []
    for number in range(1, 56):
        (base / str(number)).symlink_to(saved)
        repository.poll()
        with repository.acquire(ModelSpec(name="m")) as version:
            assert version.number == number
            assert ask(version.loaded, x)[0, 0] == 2048
        sizes.append(resident_mebibytes())
    repository.stop()
    assert sizes[-1] - sizes[4] < 20
