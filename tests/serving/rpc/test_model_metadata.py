import pytest
import tensorflow as tf
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    SignatureDefMap,
)

from tests.support.asking import SECONDS, failure


def metadata_request(*fields, name="half"):
    request = GetModelMetadataRequest(metadata_field=fields)
    request.model_spec.name = name
    return request


def test_metadata(prediction):
    response = prediction.GetModelMetadata(
        metadata_request("signature_def"), timeout=SECONDS
    )
    assert response.model_spec.name == "half"
    assert response.model_spec.version.value == 7
    assert not response.model_spec.signature_name
    signatures = SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    found = signatures.signature_def
    assert {"serving_default", "subtract", "__saved_model_init_op"} <= set(
        found
    )
    x = found["serving_default"].inputs["x"]
    assert x.dtype == tf.float32.as_datatype_enum
    assert [d.size for d in x.tensor_shape.dim] == [-1, 1]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (GetModelMetadataRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            metadata_request(),
            "INVALID_ARGUMENT",
            "GetModelMetadataRequest must specify at least one metadata_field",
        ),
        (
            metadata_request("signature_def", "weights"),
            "INVALID_ARGUMENT",
            "Metadata field weights is not supported",
        ),
        (
            metadata_request("signature_def", name="whole"),
            "NOT_FOUND",
            "Servable not found for request: Latest(whole)",
        ),
    ],
)
def test_metadata_errors(prediction, request_, code, text):
    assert failure(prediction.GetModelMetadata, request_) == (code, text)
