import gc
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.model_pb2 import ModelSpec

from tests import served
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.call import Call, Cancellation
from tf_tokenrl.serving.config import configuration
from tf_tokenrl.serving.repository import Repository
from tf_tokenrl.serving.servable import Servable
from tf_tokenrl.serving.status import StatusError


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    base = served.put(tmp_path_factory.mktemp("half"), 1)
    servable = Servable(str(base / "1"), ["serve"], tf.compat.v1.ConfigProto())
    yield servable
    servable.close()


def run(servable, name, call, **inputs):
    signature = servable.signatures[name]
    feeds = {signature.inputs[k].name: v for k, v in inputs.items()}
    names = sorted(signature.outputs)
    arrays = servable.run(
        feeds, [signature.outputs[alias].name for alias in names], call
    )
    return dict(zip(names, arrays, strict=True))


BAD = {"a": np.float32([1, 2]), "b": np.float32([1, 2, 3])}


def test_a_run_that_can_be_ended_gives_the_same(half):
    x = np.float32([[1.0]])
    for call in (Call(), Call(0, Cancellation()), Call(20_000, Cancellation())):
        assert run(half, "serving_default", call, x=x)["y"] == 2.5


def test_a_run_that_can_be_ended_fails_alike(half):
    texts = set()
    for call in (Call(), Call(0, Cancellation()), Call(20_000, Cancellation())):
        with pytest.raises(StatusError) as caught:
            run(half, "subtract", call, **BAD)
        texts.add(str(caught.value))
    (text,) = texts
    assert text.startswith("INVALID_ARGUMENT") and "[2] vs. [3]" in text


def test_a_caller_that_has_gone_already_gets_nothing(half):
    gone = Cancellation()
    gone.cancel()
    with pytest.raises(StatusError) as caught:
        run(half, "spin", Call(20_000, gone), count=np.int32([2**31 - 1]))
    assert str(caught.value) == "CANCELLED: Cancelled"


def test_ended_and_failed_runs_leave_nothing_to_later_ones(half):
    """More of them than there are queues."""
    x = np.float32([[1.0]])
    for _ in range(70):
        gone = Cancellation()
        gone.cancel()
        with pytest.raises(StatusError, match="Cancelled"):
            run(half, "serving_default", Call(0, gone), x=x)
        with pytest.raises(StatusError, match="Incompatible shapes"):
            run(half, "subtract", Call(0, Cancellation()), **BAD)
    assert len(half._interruption._free) == 64
    sums = run(
        half, "subtract", Call(0, Cancellation()), a=BAD["a"], b=BAD["a"]
    )
    assert sums["sum"].tolist() == [2, 4]


def test_a_tag_that_is_not_there(tmp_path):
    base = served.put(tmp_path, 1)
    with pytest.raises(StatusError, match="could not be found in SavedModel"):
        Servable(str(base / "1"), ["train"], tf.compat.v1.ConfigProto())


def resident_mebibytes():
    gc.collect()
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
        lambda path: Servable(path, ["serve"], tf.compat.v1.ConfigProto()),
        flags,
    )
    call, x = Call(0, Cancellation()), np.ones([1, 2048], np.float32)
    sizes = []
    for number in range(1, 56):
        (base / str(number)).symlink_to(saved)
        repository.poll()
        with repository.acquire(ModelSpec(name="m")) as version:
            assert version.number == number
            y = run(version.loaded, "serving_default", call, x=x)["y"]
            assert y[0, 0] == 2048
        sizes.append(resident_mebibytes())
    repository.stop()
    assert sizes[-1] - sizes[4] < 20
