"""The text protos, read with the real server's definitions.

Those of batching and monitoring are in no package, so they are built here.
"""

from pathlib import Path

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.config import configured_models

SERVING = Path(__file__).parents[2] / "serving"
Field = descriptor_pb2.FieldDescriptorProto
WRAPPED = ".google.protobuf.Int64Value"


@pytest.fixture(scope="module")
def messages():
    file = descriptor_pb2.FileDescriptorProto(
        name="configs.proto",
        package="configs",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    batching = file.message_type.add(name="BatchingParameters")
    for number, name in enumerate(
        (
            "max_batch_size",
            "batch_timeout_micros",
            "max_enqueued_batches",
            "num_batch_threads",
        ),
        start=1,
    ):
        batching.field.add(
            name=name,
            number=number,
            type_name=WRAPPED,
            label=Field.LABEL_OPTIONAL,
        )
    batching.field.add(
        name="allowed_batch_sizes",
        number=6,
        type=Field.TYPE_INT64,
        label=Field.LABEL_REPEATED,
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=Field.TYPE_BOOL)
    prometheus.field.add(name="path", number=2, type=Field.TYPE_STRING)
    monitoring = file.message_type.add(name="MonitoringConfig")
    monitoring.field.add(
        name="prometheus_config",
        number=1,
        type_name=".configs.PrometheusConfig",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"configs.{name}")
        )
        for name in ("BatchingParameters", "MonitoringConfig")
    }


def parse(name, message):
    text = (SERVING / name).read_text("utf-8")
    return text_format.Parse(text, message())


def test_models():
    path = str(SERVING / "models.config")
    (model,) = configured_models(Flags(model_config_file=path))
    assert model.name == "headline"
    assert model.base_path == "/models/headline"


def test_batching(messages):
    batching = parse("batching.config", messages["BatchingParameters"])
    assert batching.max_batch_size.value > 0
    assert batching.num_batch_threads.value >= 1
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(sizes)
    assert not sizes or sizes[-1] == batching.max_batch_size.value


def test_monitoring(messages):
    monitoring = parse("monitoring.config", messages["MonitoringConfig"])
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path.startswith("/")
