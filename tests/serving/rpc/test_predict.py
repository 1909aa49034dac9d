"""Predict: codes and texts, as a client of the real server would see them."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from tests.support import served
from tests.support.asking import SECONDS, X, ask, failure, with_version
from tf_tokenrl.serving import Flags
from tf_tokenrl.serving.config import configuration
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.models.servable import Servable
from tf_tokenrl.serving.rpc.predict import predict
from tf_tokenrl.serving.status import StatusError


def test_predict(prediction):
    response = prediction.Predict(ask(x=X), timeout=SECONDS)
    assert list(response.outputs) == ["y"]
    y = response.outputs["y"]
    assert list(y.float_val) == [2.5, 3.0]
    assert not y.tensor_content
    assert [d.size for d in y.tensor_shape.dim] == [2, 1]
    assert response.model_spec.name == "half"
    assert response.model_spec.signature_name == "serving_default"
    assert response.model_spec.version.value == 7


def test_predict_another_signature_and_one_output(prediction):
    request = ask("subtract", ["sum"], a=np.float32([1]), b=np.float32([2]))
    response = prediction.Predict(with_version(request, 7), timeout=SECONDS)
    assert list(response.outputs) == ["sum"]
    assert response.model_spec.signature_name == "subtract"


def test_strings_pass_as_bytes(prediction):
    request = ask("shout", text=[b"abc", b"\xff\x00z"])
    response = prediction.Predict(request, timeout=SECONDS)
    assert list(response.outputs["loud"].string_val) == [b"ABC", b"\xff\x00Z"]


def test_a_scalar_string_keeps_its_last_bytes(prediction):
    request = ask("join", text=[b"a", b"\x00"])
    response = prediction.Predict(request, timeout=SECONDS)
    assert list(response.outputs["joined"].string_val) == [b"a\x00"]
    assert not response.outputs["joined"].tensor_shape.dim


def test_an_output_that_has_no_field(prediction):
    assert failure(prediction.Predict, ask("shrink", x=np.float32([0.5]))) == (
        "UNIMPLEMENTED",
        "Output y cannot be sent: no field for dtype float8_e5m2",
    )


def test_the_runtime_alone_judges_shapes(prediction):
    request = ask(x=np.float32([[[1], [2]]]))
    response = prediction.Predict(request, timeout=SECONDS)
    assert len(response.outputs["y"].tensor_shape.dim) == 3


def test_fields_that_the_stock_server_ignores(prediction):
    request = ask(x=X)
    request.client_id = b"somebody"
    request.predict_streamed_options.SetInParent()
    request.request_options.max_cache_length = 1
    response = prediction.Predict(request, timeout=SECONDS)
    assert list(response.outputs["y"].float_val) == [2.5, 3.0]


PREDICT_ERRORS = [
    (PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
    (
        ask(name=""),
        "INVALID_ARGUMENT",
        "ModelSpec has no name specified.",
    ),
    (
        ask(name="whole"),
        "NOT_FOUND",
        "Servable not found for request: Latest(whole)",
    ),
    (
        with_version(ask(name="whole"), 3),
        "NOT_FOUND",
        "Servable not found for request: Specific(whole, 3)",
    ),
    (
        with_version(ask(), 8),
        "NOT_FOUND",
        "Servable not found for request: Specific(half, 8)",
    ),
    (
        with_version(ask(), label="stable"),
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    ),
    (
        ask("nosuch"),
        "FAILED_PRECONDITION",
        'Serving signature key "nosuch" not found.',
    ),
    (
        ask(),
        "INVALID_ARGUMENT",
        "input size does not match signature: 0!=1 len({}) != len({x}). "
        "Sent extra: {}. Missing but required: {x}.",
    ),
    (
        ask(z=X, x=X, a=X),
        "INVALID_ARGUMENT",
        "input size does not match signature: 3!=1 len({a,x,z}) != len({x}). "
        "Sent extra: {a,z}. Missing but required: {}.",
    ),
    (
        ask(key=X),
        "INVALID_ARGUMENT",
        "Signature input alias: x(feed name: serving_default_x:0) not found "
        "in request and no default value provided. Inputs expected to be in "
        "the request {key}, or default input alias set: ",
    ),
    (
        ask(x=TensorProto()),
        "INVALID_ARGUMENT",
        "tensor parsing error: x",
    ),
    (
        ask(x=np.float64([[1]])),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but double is provided",
    ),
    (
        ask(x=[[b"1"]]),
        "INVALID_ARGUMENT",
        "Expects arg[0] to be float but string is provided",
    ),
    (
        ask(outputs=["z"], x=X),
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: z Outputs expected to "
        "be in the set {y}.",
    ),
    (
        ask(outputs=["y", "y"], x=X),
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: y",
    ),
    (
        ask("__saved_model_init_op"),
        "INVALID_ARGUMENT",
        "Tried to fetch data for 'NoOp', which produces no output.  To run "
        "to a node but not fetch any data, pass 'NoOp' as an argument to the "
        "'target_node_names' argument of the Session::Run API.",
    ),
    (
        ask("s" * 2000),
        "FAILED_PRECONDITION",
        f'Serving signature key "{"s" * 1001}...TRUNCATED',
    ),
    (
        ask("é" * 1000),
        "FAILED_PRECONDITION",
        f'Serving signature key "{"é" * 500}...TRUNCATED',
    ),
]


@pytest.mark.parametrize(("request_", "code", "text"), PREDICT_ERRORS)
def test_predict_errors(prediction, request_, code, text):
    assert failure(prediction.Predict, request_) == (code, text)


def test_an_error_inside_the_graph_keeps_the_text_of_the_runtime(prediction):
    request = ask("subtract", a=np.float32([1, 2]), b=np.float32([1, 2, 3]))
    code, text = failure(prediction.Predict, request)
    assert code == "INVALID_ARGUMENT"
    assert "[2]" in text and "[3]" in text and "{{node" in text


def test_a_table_that_was_never_filled(prediction):
    request = ask("table", name="judge", inputs=[b"a"])
    assert failure(prediction.Predict, request) == (
        "FAILED_PRECONDITION",
        "Table not initialized.\n\t [[{{node LookupTableFindV2}}]]",
    )


def test_the_deadline_of_the_call_stops_the_model(server, prediction):
    request = ask("spin", count=np.int32([2**31 - 1]))
    code, _ = failure(prediction.Predict, request, seconds=0.2)
    assert code == "DEADLINE_EXCEEDED"
    response = prediction.Predict(ask(x=X), timeout=SECONDS)
    assert response.outputs["y"].float_val


@pytest.fixture
def with_default(tmp_path):
    """A repository whose signature "subtract" has a default for b."""
    base = served.put(tmp_path / "half", 1)
    path = base / "1" / "saved_model.pb"
    saved = SavedModel.FromString(path.read_bytes())
    signature = saved.meta_graphs[0].signature_def["subtract"]
    signature.defaults["b"].CopyFrom(tf.make_tensor_proto(np.float32([5])))
    path.write_bytes(saved.SerializeToString())
    flags = Flags(model_base_path=str(base), model_name="half")
    repository = Repository(
        configuration(flags),
        lambda path: Servable(path, ["serve"], tf.compat.v1.ConfigProto()),
        flags,
    )
    repository.poll()
    yield repository
    repository.stop()


def test_an_input_may_have_a_default(with_default):
    response = predict(with_default, ask("subtract", a=np.float32([7])))
    assert list(response.outputs["difference"].float_val) == [2.0]
    request = ask("subtract", b=np.float32([7]))
    with pytest.raises(StatusError, match=r"\{b\}, or default .* set: b$"):
        predict(with_default, request)
    request = ask("subtract", a=np.float32([7]), c=np.float32([7]))
    with pytest.raises(StatusError, match=r"Used request inputs: a, .*: a,c$"):
        predict(with_default, request)
