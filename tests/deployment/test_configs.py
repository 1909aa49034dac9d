"""The text protos, read as the embedded server reads them."""

from pathlib import Path

from tf_tokenrl.serving import Flags, schema
from tf_tokenrl.serving.config import configuration

SERVING = Path(__file__).parents[2] / "serving"


def parse(name, message):
    return schema.read(str(SERVING / name), message(), "some_flag")


def test_models():
    path = str(SERVING / "models.config")
    config = configuration(Flags(model_config_file=path))
    (model,) = config.model_config_list.config
    assert model.name == "headline"
    assert model.base_path == "/models/headline"


def test_batching():
    batching = parse("batching.config", schema.BatchingParameters)
    assert batching.max_batch_size.value > 0
    assert batching.num_batch_threads.value >= 1
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(sizes)
    assert not sizes or sizes[-1] == batching.max_batch_size.value


def test_monitoring():
    monitoring = parse("monitoring.config", schema.MonitoringConfig)
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path.startswith("/")
