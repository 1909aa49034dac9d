"""The real generated messages are the oracle of our own definitions."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

from tf_tokenrl.client import protos

PAIRS = [
    (protos.ModelSpec, model_pb2.ModelSpec),
    (protos.TensorProto, tensor_pb2.TensorProto),
    (protos.PredictRequest, predict_pb2.PredictRequest),
    (protos.PredictResponse, predict_pb2.PredictResponse),
    (protos.SignatureDefMap, get_model_metadata_pb2.SignatureDefMap),
    (
        protos.GetModelMetadataRequest,
        get_model_metadata_pb2.GetModelMetadataRequest,
    ),
    (
        protos.GetModelMetadataResponse,
        get_model_metadata_pb2.GetModelMetadataResponse,
    ),
    (protos.GetModelStatusRequest, get_model_status_pb2.GetModelStatusRequest),
    (
        protos.GetModelStatusResponse,
        get_model_status_pb2.GetModelStatusResponse,
    ),
]


def differences(ours, theirs, path="", seen=()):
    """Fields whose bytes on the wire would differ, through all messages."""
    if ours.full_name in seen:
        return
    for field in ours.fields:
        name = f"{path}.{field.name}"
        other = theirs.fields_by_name.get(field.name)
        if other is None or _wire(field) != _wire(other):
            yield name
        elif field.message_type:
            yield from differences(
                field.message_type,
                other.message_type,
                name,
                (*seen, ours.full_name),
            )


def _wire(field):
    kind = field.type
    if kind == FieldDescriptor.TYPE_ENUM:
        kind = FieldDescriptor.TYPE_INT32
    return field.number, kind, field.is_repeated, field.is_packed


@pytest.mark.parametrize(
    ("ours", "theirs"), PAIRS, ids=[ours.__name__ for ours, _ in PAIRS]
)
def test_the_same_fields_on_the_wire(ours, theirs):
    assert list(differences(ours.DESCRIPTOR, theirs.DESCRIPTOR)) == []
