"""The messages of TensorFlow Serving, without TensorFlow.

Field numbers and types are those of the public API, so the bytes are the
same; the names live in a descriptor pool of their own, so that the real
generated modules can be imported into the same process.

`StreamRequest` and `StreamResponse` are those of `tf_tokenrl.v1.Generation`,
which is not part of that API.
"""

import re
from collections.abc import Iterable

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

_SCHEMA = """
Int64Value: int64 value = 1
Any: string type_url = 1, bytes value = 2
ModelSpec: string name = 1, Int64Value version = 2, string signature_name = 3,
    string version_label = 4
Dim: int64 size = 1, string name = 2
TensorShapeProto: repeated Dim dim = 2, bool unknown_rank = 3
TensorProto: int32 dtype = 1, TensorShapeProto tensor_shape = 2,
    bytes tensor_content = 4, repeated float float_val = 5,
    repeated double double_val = 6, repeated int32 int_val = 7,
    repeated bytes string_val = 8, repeated float scomplex_val = 9,
    repeated int64 int64_val = 10, repeated bool bool_val = 11,
    repeated double dcomplex_val = 12, repeated int32 half_val = 13,
    repeated uint32 uint32_val = 16, repeated uint64 uint64_val = 17,
    bytes float8_val = 18
TensorInfo: string name = 1, int32 dtype = 2, TensorShapeProto tensor_shape = 3
SignatureDef: map TensorInfo inputs = 1, map TensorInfo outputs = 2,
    string method_name = 3
SignatureDefMap: map SignatureDef signature_def = 1
PredictRequest: ModelSpec model_spec = 1, map TensorProto inputs = 2,
    repeated string output_filter = 3
PredictResponse: map TensorProto outputs = 1, ModelSpec model_spec = 2
GetModelMetadataRequest: ModelSpec model_spec = 1,
    repeated string metadata_field = 2
GetModelMetadataResponse: ModelSpec model_spec = 1, map Any metadata = 2
StatusProto: int32 error_code = 1, string error_message = 2
ModelVersionStatus: int64 version = 1, int32 state = 2, StatusProto status = 3
GetModelStatusRequest: ModelSpec model_spec = 1
GetModelStatusResponse: repeated ModelVersionStatus model_version_status = 1
"""
_STREAMING = """
Int64Value: int64 value = 1
ModelSpec: string name = 1, Int64Value version = 2, string signature_name = 3,
    string version_label = 4
StreamRequest: ModelSpec model_spec = 1, bytes prompt = 2, int64 seed = 3,
    float temperature = 4, int32 top_k = 5, optional float top_p = 6,
    int32 max_new_tokens = 7, repeated string stop = 8
StreamResponse: string text = 1, repeated int32 token_ids = 2,
    repeated float log_probs = 3, repeated float values = 4,
    string finish_reason = 5, int32 prompt_tokens = 6, bool truncated = 7,
    int64 version = 8
"""
_MESSAGE = re.compile(r"^(\w+):", re.MULTILINE)
_FIELD = re.compile(r"(?:(repeated|map|optional) )?(\w+) (\w+) = (\d+)")
_Field = descriptor_pb2.FieldDescriptorProto


def build(
    schema: str,
    package: str,
    pool: descriptor_pool.DescriptorPool | None = None,
    streams: Iterable[tuple[str, str, str]] = (),
) -> dict[str, type[Message]]:
    """Message classes by name.

    Args:
        schema: `Name: type field = number, ...`, one message after another;
            "repeated", "map" or "optional" before the type, maps from strings.
        package: of the messages' full names.
        pool: where their descriptors go; one of their own by default.
        streams: "Service/Method" that streams its answers, and the messages
            that it takes and gives.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{package}.proto", package=package, syntax="proto3"
    )
    names_and_bodies = _MESSAGE.split(schema)[1:]
    for name, body in zip(
        names_and_bodies[::2], names_and_bodies[1::2], strict=True
    ):
        message = file.message_type.add(name=name)
        for label, kind, field, number in _FIELD.findall(body):
            if label == "map":
                kind = _add_map_entry(message, kind, field, package)
            added = _add_field(message, kind, field, int(number), package)
            if label == "optional":  # proto3 tells 0 from nothing by a oneof
                added.proto3_optional = True
                added.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
            elif label:
                added.label = _Field.LABEL_REPEATED
    for name, request, response in streams:
        service, _, method = name.partition("/")
        file.service.add(name=service).method.add(
            name=method,
            input_type=f".{package}.{request}",
            output_type=f".{package}.{response}",
            server_streaming=True,
        )
    pool = pool or descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        message.name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{package}.{message.name}")
        )
        for message in file.message_type
    }


def _add_field(message, kind: str, name: str, number: int, package: str):
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_OPTIONAL
    if f"TYPE_{kind.upper()}" in _Field.Type.keys():  # noqa: SIM118
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    else:
        field.type_name = f".{package}.{kind}"
    return field


def _add_map_entry(message, kind: str, field: str, package: str) -> str:
    """A map is a repeated message of keys and values; its type's name."""
    entry = message.nested_type.add(
        name=f"{field.title().replace('_', '')}Entry"
    )
    entry.options.map_entry = True
    _add_field(entry, "string", "key", 1, package)
    _add_field(entry, kind, "value", 2, package)
    return f"{message.name}.{entry.name}"


POOL = descriptor_pool.DescriptorPool()
_CLASSES = build(_SCHEMA, "tf_tokenrl.client", POOL)
_STREAMED = build(
    _STREAMING,
    "tf_tokenrl.v1",
    POOL,
    [("Generation/Stream", "StreamRequest", "StreamResponse")],
)

ModelSpec = _CLASSES["ModelSpec"]
TensorProto = _CLASSES["TensorProto"]
SignatureDefMap = _CLASSES["SignatureDefMap"]
PredictRequest = _CLASSES["PredictRequest"]
PredictResponse = _CLASSES["PredictResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
GetModelStatusRequest = _CLASSES["GetModelStatusRequest"]
GetModelStatusResponse = _CLASSES["GetModelStatusResponse"]
StreamRequest = _STREAMED["StreamRequest"]
StreamResponse = _STREAMED["StreamResponse"]
