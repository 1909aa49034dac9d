import shutil
from pathlib import Path

import pytest
import tensorflow as tf

from tests.support import spelled
from tf_tokenrl.serving import Flags, Server
from tf_tokenrl.serving.generation.convention import Generator
from tf_tokenrl.serving.metrics import REGISTRY
from tf_tokenrl.serving.models.servable import Servable


@pytest.fixture(scope="session")
def load():
    """From a directory to a servable."""

    def load(path):
        return Servable(str(path), ["serve"], tf.compat.v1.ConfigProto())

    return load


@pytest.fixture(scope="session")
def generator(load, tmp_path_factory):
    base = spelled.put(tmp_path_factory.mktemp("models") / "speller")
    return Generator(load(base / "1"))


@pytest.fixture(scope="package")
def streaming_server(tmp_path_factory):
    """A server of two slots, with a model that streams and one that cannot.

    It also batches, and what streams must keep clear of that: a batch of more
    than one row would be refused.
    """
    folder = tmp_path_factory.mktemp("streaming")
    spelled.put(folder / "speller", 7)
    spelled.put(folder / "mute", 1, streams=False)
    blocks = "".join(
        f'config {{ name: "{name}" base_path: "{folder}/{name}" '
        'model_platform: "tensorflow" }'
        for name in ("speller", "mute")
    )
    config = folder / "models.config"
    config.write_text(f"model_config_list {{ {blocks} }}")
    batching = folder / "batching.config"
    batching.write_text("max_batch_size { value: 1 }")
    flags = Flags(
        model_config_file=str(config),
        enable_batching=True,
        batching_parameters_file=str(batching),
        port=0,
        rest_api_port=-1,
        file_system_poll_wait_seconds=0,
        enable_streaming=True,
        streaming_slots=2,
    )
    with Server(flags) as running:
        yield running


@pytest.fixture
def swap(streaming_server):
    """Put a newer version in place of the old one, and go back at the end."""
    repository = streaming_server._repository
    base = Path(repository.versions("speller")[0].path).parent

    def poll():
        repository.poll()
        names = {v.number for v in repository.versions("speller")}
        assert names

    put = []

    def swap(number):
        spelled.put(base, number)
        put.append(base / str(number))
        poll()

    yield swap
    for path in put:
        shutil.rmtree(path)
    poll()


@pytest.fixture
def slots_in_use():
    return lambda: REGISTRY.get_sample_value("tf_tokenrl_slots_in_use")
