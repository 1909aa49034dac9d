"""What TensorFlow Serving's own test of its server expects, of this server.

Its cases (`model_servers/tensorflow_model_server_test.py`) that need no binary
beside the server: half_plus_two under version 123, over gRPC and REST, batched,
over a UNIX socket, from a configuration file that changes.
"""

import itertools
import json
import subprocess
import sys
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest

from tests.support.asking import SECONDS, examples, spec
from tf_tokenrl.serving import Flags, Server, parse

v1 = tf.compat.v1
BATCHING = "max_batch_size { value: 128 } batch_timeout_micros { value: 0 }"
CHANNEL = "grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb"


def save(path, constant):
    """y = x / 2 + constant, as the stock server's test data has it."""
    with tf.Graph().as_default(), v1.Session() as session:
        rows = v1.placeholder(tf.string, name="tf_example")
        parsed = tf.io.parse_example(
            rows, {"x": tf.io.FixedLenFeature([1], tf.float32)}
        )
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(x * 0.5, constant, name="y")
        info = v1.saved_model.build_tensor_info

        def signature(method, inputs, **outputs):
            return v1.saved_model.build_signature_def(
                inputs,
                {name: info(tensor) for name, tensor in outputs.items()},
                f"tensorflow/serving/{method}",
            )

        given = {"inputs": info(rows)}
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {
                "serving_default": signature("predict", {"x": info(x)}, y=y),
                "regress_x_to_y": signature("regress", given, outputs=y),
                "classify_x_to_y": signature("classify", given, scores=y),
            },
        )
        builder.save()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("stock")
    save(made / "half_plus_two" / "123", 2.0)
    save(made / "half_plus_three" / "123", 3.0)
    (made / "batching.config").write_text(BATCHING)
    monitoring = "prometheus_config { enable: true path: '/metrics' }"
    (made / "monitoring.config").write_text(monitoring)
    return made


def start(folder, *flags):
    base = f"--model_base_path={folder}/half_plus_two"
    return Server(parse(["--port=0", "--rest_api_port=-1", base, *flags]))


@pytest.fixture(scope="module")
def server(folder):
    monitoring = f"--monitoring_config_file={folder}/monitoring.config"
    socket = f"--grpc_socket_path={folder}/socket"
    with start(folder, monitoring, socket) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened


@pytest.fixture
def stub(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


def predicted(channel, name="default", output="y"):
    """The answer to x = 2, once its model spec is right."""
    request = predict_pb2.PredictRequest(model_spec=spec(name))
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.float32([2.0])))
    request.output_filter.extend([output] if output else [])
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=SECONDS)
    verify(response.model_spec, name, "serving_default")
    return list(response.outputs["y"].float_val)


def verify(found, name, signature):
    assert (found.name, found.signature_name) == (name, signature)
    assert found.version.value == 123


def rest(server, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    url = f"http://127.0.0.1:{server.http_port}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data, timeout=SECONDS) as response:
        return response.read().decode()


def test_get_model_status(channel):
    request = get_model_status_pb2.GetModelStatusRequest(
        model_spec=spec("default")
    )
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    (status,) = stub.GetModelStatus(request).model_version_status
    assert (status.version, status.status.error_code) == (123, 0)


def test_get_model_metadata(stub):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=spec("default"), metadata_field=["signature_def"]
    )
    response = stub.GetModelMetadata(request, timeout=SECONDS)
    assert response.model_spec.name == "default"
    assert "signature_def" in response.metadata


def test_classify_regress_and_multi_inference(stub):
    given = examples(2.0)
    request = ClassificationRequest(
        model_spec=spec("default", "classify_x_to_y"), input=given
    )
    response = stub.Classify(request, timeout=SECONDS)
    (row,) = response.result.classifications
    assert [each.score for each in row.classes] == [3.0]
    verify(response.model_spec, "default", "classify_x_to_y")
    request = regression_pb2.RegressionRequest(
        model_spec=spec("default", "regress_x_to_y"), input=given
    )
    response = stub.Regress(request, timeout=SECONDS)
    assert [each.value for each in response.result.regressions] == [3.0]
    verify(response.model_spec, "default", "regress_x_to_y")
    request = inference_pb2.MultiInferenceRequest(input=given)
    for method in ("regress", "classify"):
        request.tasks.add(
            model_spec=spec("default", f"{method}_x_to_y"),
            method_name=f"tensorflow/serving/{method}",
        )
    first, second = stub.MultiInference(request, timeout=SECONDS).results
    assert first.regression_result.regressions[0].value == 3.0
    (row,) = second.classification_result.classifications
    assert row.classes[0].score == 3.0
    verify(first.model_spec, "default", "regress_x_to_y")


@pytest.mark.parametrize("output", ["y", None])
def test_predict(channel, output):
    assert predicted(channel, output=output) == [3.0]


def test_predict_over_a_unix_socket(server, folder):
    with grpc.insecure_channel(f"unix:{folder}/socket") as opened:
        assert predicted(opened) == [3.0]


@pytest.mark.parametrize(
    "flags",
    [
        ["--enable_batching", "--batching_parameters_file={}/batching.config"],
        [f"--grpc_channel_arguments={CHANNEL}"],
    ],
)
def test_predict_with_batching_and_channel_arguments(folder, flags):
    given = [flag.format(folder) for flag in flags]
    with (
        start(folder, *given) as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}") as opened,
    ):
        assert predicted(opened) == [3.0]


def test_a_missing_model_is_said_with_the_word_servable(stub):
    """By which that test sees that the server is ready."""
    request = predict_pb2.PredictRequest(
        model_spec=spec("intentionally_missing_model")
    )
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request, timeout=SECONDS)
    assert "Servable" in caught.value.details()


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (
            ":classify",
            {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [[["", 3.0]]]},
        ),
        (
            ":regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": 2.0}]},
            {"results": [3.0]},
        ),
        (
            ":predict",
            {"instances": [2.0, 3.0, 4.0]},
            {"predictions": [3.0, 3.5, 4.0]},
        ),
        (
            ":predict",
            {"inputs": [2.0, 3.0, 4.0]},
            {"outputs": [3.0, 3.5, 4.0]},
        ),
        (
            "",
            None,
            {
                "model_version_status": [
                    {
                        "version": "123",
                        "state": "AVAILABLE",
                        "status": {"error_code": "OK", "error_message": ""},
                    }
                ]
            },
        ),
    ],
)
def test_rest(server, path, body, answer):
    assert json.loads(rest(server, f"/v1/models/default{path}", body)) == answer


def test_metadata_over_rest(server):
    found = json.loads(rest(server, "/v1/models/default/metadata"))
    assert found["model_spec"]["name"] == "default"
    assert found["model_spec"]["version"] == "123"
    assert (
        "serving_default" in found["metadata"]["signature_def"]["signature_def"]
    )


def test_metrics(server, channel):
    predicted(channel)
    text = rest(server, "/metrics")
    assert "# TYPE" in text
    labels = 'model_name="default",API="Predict",entrypoint="GRPC"'
    assert f":tensorflow:serving:request_latency_count{{{labels}}}" in text


def configuration(folder, *names):
    blocks = "".join(
        f'config: {{ name: "{name}", base_path: "{folder}/{name}", '
        'model_platform: "tensorflow" }, '
        for name in names
    )
    return f"model_config_list: {{ {blocks} }}"


def test_a_model_configuration_that_changes(folder, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(configuration(folder, "half_plus_two"))
    flags = Flags(
        port=0,
        model_config_file=str(path),
        model_config_file_poll_wait_seconds=0.05,
    )
    with (
        Server(flags) as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}") as opened,
    ):
        assert predicted(opened, "half_plus_two") == [3.0]
        new = tmp_path / "new"
        new.write_text(
            configuration(folder, "half_plus_two", "half_plus_three")
        )
        new.replace(path)
        repository = running._repository
        for _ in itertools.count():
            if "half_plus_three" in repository.names:
                break
            with repository._changed:
                repository._changed.wait(0.01)
        assert predicted(opened, "half_plus_three") == [4.0]
        assert predicted(opened, "half_plus_two") == [3.0]


def test_a_model_configuration_that_is_none(tmp_path):
    path = tmp_path / "bad_model_config.txt"
    path.write_text("improperly formatted file\n")
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tf_tokenrl.serving", "--port=0"),
            f"--model_config_file={path}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode != 0
    assert (
        "Error parsing text-format tensorflow.serving.ModelServerConfig"
        in ended.stderr
    )
