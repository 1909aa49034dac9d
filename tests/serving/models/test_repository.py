"""Versions come and go under a repository whose rounds the test calls."""

import functools
import logging
import shutil
import threading

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from tests.support import served
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.models.versions import State
from tf_tokenrl.serving.status import StartError, StatusError

LATEST = ModelSpec(name="m")
load = functools.partial(
    Servable, tags=["serve"], config=tf.compat.v1.ConfigProto()
)


@pytest.fixture
def open_repository():
    opened = []

    def make(base, config="", load=load, **flags):
        flags.setdefault("load_retry_interval_micros", 0)
        models = ModelServerConfig()
        model = models.model_config_list.config.add(
            name="m", base_path=str(base), model_platform="tensorflow"
        )
        text_format.Merge(config, model)
        flags.setdefault("file_system_poll_wait_seconds", 0)
        opened.append(Repository(models, load, Flags(**flags)))
        return opened[-1]

    yield make
    for repository in opened:
        repository.stop()


def states(repository):
    return {v.number: v.state.name for v in repository.versions("m")}


def answering(repository, spec=LATEST):
    with repository.acquire(spec) as version:
        return version.number


def test_a_new_version_replaces_the_old_and_removing_it_rolls_back(
    tmp_path, open_repository
):
    repository = open_repository(served.put(tmp_path, 1))
    repository.poll()
    assert answering(repository) == 1
    served.put(tmp_path, 3)
    repository.poll()
    assert states(repository) == {3: "AVAILABLE", 1: "END"}
    shutil.rmtree(tmp_path / "3")
    repository.poll()
    assert states(repository) == {3: "END", 1: "AVAILABLE"}
    assert answering(repository) == 1


def test_requests_begun_finish_on_the_old_version(tmp_path, open_repository):
    repository = open_repository(served.put(tmp_path, 1))
    repository.poll()
    with repository.acquire(LATEST) as old:
        served.put(tmp_path, 2)
        repository.poll()
        assert states(repository) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert answering(repository) == 2
        with (
            pytest.raises(StatusError),
            repository.acquire(ModelSpec(name="m", version={"value": 1})),
        ):
            pass
        signature = old.servable.signatures["serving_default"]
        (y,) = old.servable.run(
            {signature.inputs["x"].name: np.float32([[2.0]])},
            [signature.outputs["y"].name],
        )
        assert y == 3.0
    assert states(repository) == {2: "AVAILABLE", 1: "END"}
    assert old.servable is None


@pytest.mark.parametrize("damage", ["no graph", "no graph def", "no weights"])
def test_a_version_that_cannot_be_loaded_leaves_the_old_one_serving(
    tmp_path, open_repository, damage
):
    repository = open_repository(
        served.put(tmp_path, 1), max_num_load_retries=1
    )
    repository.poll()
    served.put(tmp_path, 2)
    if damage == "no graph":
        (tmp_path / "2" / "saved_model.pb").unlink()
    elif damage == "no graph def":
        (tmp_path / "2" / "saved_model.pb").write_bytes(b"not a proto")
    else:
        shutil.rmtree(tmp_path / "2" / "variables")
    repository.poll()
    assert states(repository) == {2: "LOADING", 1: "AVAILABLE"}
    assert answering(repository) == 1
    repository.poll()
    assert states(repository) == {2: "END", 1: "AVAILABLE"}
    assert repository.versions("m")[0].error.text
    shutil.rmtree(tmp_path / "2")
    repository.poll()
    assert answering(repository) == 1


def test_a_failed_load_is_tried_again_until_it_succeeds(
    tmp_path, open_repository
):
    (tmp_path / "1").mkdir()
    repository = open_repository(tmp_path)
    repository.poll()
    (version,) = repository.versions("m")
    assert version.state is State.LOADING
    assert version.error.text.startswith("Could not find SavedModel .pb")
    (tmp_path / "1").rmdir()
    served.put(tmp_path, 1)
    repository.poll()
    assert states(repository) == {1: "AVAILABLE"}
    assert version.error is None


def test_a_retry_waits_its_time(tmp_path, open_repository):
    (tmp_path / "1").mkdir()
    repository = open_repository(
        tmp_path, load_retry_interval_micros=3_600_000_000
    )
    repository.poll()
    repository.poll()
    assert repository.versions("m")[0].failures == 1


def test_an_empty_directory_unloads_and_a_missing_one_does_not(
    tmp_path, open_repository, caplog
):
    base = tmp_path / "base"
    repository = open_repository(served.put(base, 1))
    repository.poll()
    base.rename(tmp_path / "away")
    repository.poll()
    assert "Could not find base path" in caplog.text
    assert answering(repository) == 1
    base.mkdir()
    repository.poll()
    assert states(repository) == {1: "END"}
    with pytest.raises(StatusError, match=r"Latest\(m\)"):
        answering(repository)


def test_start_waits_for_the_first_version(tmp_path, open_repository, caplog):
    repository = open_repository(tmp_path, file_system_poll_wait_seconds=0.05)

    class PutWhenWarned(logging.Handler):
        def emit(self, record):
            if "No versions of servable m" in record.getMessage():
                served.put(tmp_path, 1)

    handler = PutWhenWarned()
    logger = logging.getLogger("tf_tokenrl.serving.models.versions")
    logger.addHandler(handler)
    try:
        repository.start()
    finally:
        logger.removeHandler(handler)
    assert answering(repository) == 1


def test_start_fails_when_every_version_has(tmp_path, open_repository):
    (tmp_path / "1").mkdir()
    repository = open_repository(tmp_path, max_num_load_retries=2)
    with pytest.raises(TokenRLError) as caught:
        repository.start()
    assert str(caught.value).startswith(
        "Failed to start server. Error: UNKNOWN: 1 servable(s) did not "
        "become available: {{{name: m version: 1} due to error: NOT_FOUND: "
        "Could not find SavedModel .pb or .pbtxt at supplied export "
        f"directory path: {tmp_path}/1. "
    )
    assert repository.versions("m")[0].failures == 3


def test_a_missing_base_path_is_said_at_once(tmp_path, open_repository):
    repository = open_repository(tmp_path / "nowhere")
    with pytest.raises(TokenRLError, match="nowhere.*Export a model there"):
        repository.start()


def test_versions_load_side_by_side_when_told_so(tmp_path, open_repository):
    """Each load waits until the other has begun."""
    both = threading.Barrier(2, timeout=20)

    def meet(path):
        both.wait()
        return load(path)

    served.put(tmp_path, 1)
    repository = open_repository(
        served.put(tmp_path, 2),
        "model_version_policy { all {} }",
        load=meet,
        num_load_threads=2,
        num_unload_threads=1,
        max_num_load_retries=0,
    )
    repository.start()
    with repository._changed:
        assert repository._changed.wait_for(
            lambda: states(repository) == {2: "AVAILABLE", 1: "AVAILABLE"}, 20
        )
    shutil.rmtree(tmp_path / "2")
    repository.poll()
    repository._unloads.close()
    assert states(repository) == {2: "END", 1: "AVAILABLE"}


def test_a_version_withdrawn_while_it_loads_is_closed_after_it(
    tmp_path, open_repository
):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(path):
        if path.endswith("2"):
            begun.set()
            assert go_on.wait(20)
        return load(path)

    repository = open_repository(
        served.put(tmp_path, 1), load=slowly, num_load_threads=1
    )
    repository.start()
    served.put(tmp_path, 2)
    repository.poll()
    assert begun.wait(20)
    shutil.rmtree(tmp_path / "2")
    repository.poll()
    assert answering(repository) == 1
    go_on.set()
    repository._loads.close()
    assert states(repository) == {2: "END", 1: "AVAILABLE"}


LABELLED = """
    model_version_policy { all {} }
    version_labels { key: "stable" value: 1 }
    version_labels { key: "canary" value: 2 }
"""


def test_labels(tmp_path, open_repository):
    served.put(tmp_path, 1)
    repository = open_repository(
        tmp_path, LABELLED, allow_version_labels_for_unavailable_models=True
    )
    repository.start()
    assert answering(repository, ModelSpec(name="m", version_label="stable"))
    with pytest.raises(StatusError, match=r"Specific\(m, 2\)"):
        answering(repository, ModelSpec(name="m", version_label="canary"))
    with pytest.raises(StatusError) as caught:
        answering(repository, ModelSpec(name="m", version_label="beta"))
    assert str(caught.value) == (
        "INVALID_ARGUMENT: Unrecognized servable version label: beta"
    )


def test_at_the_start_no_version_is_available_to_a_label(
    tmp_path, open_repository
):
    repository = open_repository(served.put(tmp_path, 1), LABELLED)
    with pytest.raises(StartError) as caught:
        repository.start()
    assert (
        "Failed to start server. Error: FAILED_PRECONDITION: Request to "
        "assign label to version 2 of model m, which is not currently "
        "available for inference"
    ) in str(caught.value)
    assert caught.value.exit_code == 255
