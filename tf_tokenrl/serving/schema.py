"""Configuration files whose messages no package brings.

The field names are those of TensorFlow Serving's own messages, so its files
can be read. Their numbers are not: these messages never travel. They live in a
descriptor pool of their own, beside whatever else the process has loaded.
"""

import re
from pathlib import Path
from typing import TypeVar

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from google.protobuf.message import Message

from tf_tokenrl.errors import TokenRLError

_PACKAGE = "tensorflow.serving"
_MESSAGES = {
    "Int64Value": "int64 value",
    "BoolValue": "bool value",
    "StringValue": "string value",
    "SSLConfig": """string server_key, string server_cert, string custom_ca,
        bool client_verify""",
    "PrometheusConfig": "bool enable, string path",
    "MonitoringConfig": "PrometheusConfig prometheus_config",
    "BatchingParameters": """Int64Value max_batch_size,
        Int64Value batch_timeout_micros, Int64Value max_enqueued_batches,
        Int64Value num_batch_threads, StringValue thread_pool_name,
        repeated int64 allowed_batch_sizes, bool pad_variable_length_inputs,
        BoolValue enable_large_batch_splitting,
        Int64Value max_execution_batch_size""",
}
_FIELD = re.compile(r"(repeated )?(\w+) (\w+)")
_Field = descriptor_pb2.FieldDescriptorProto
_AnyMessage = TypeVar("_AnyMessage", bound=Message)


def read(
    path: str, message: _AnyMessage, flag: str, secret: bool = False
) -> _AnyMessage:
    """Fill a message from a file in protobuf's text format.

    Args:
        path: of the file.
        message: an empty one.
        flag: the flag that named the file, for the error.
        secret: errors must not repeat what the file says.

    Raises:
        TokenRLError: the file cannot be read, or is not such a message.
    """
    try:
        return text_format.Parse(Path(path).read_text("utf-8"), message)
    except OSError as error:
        raise TokenRLError(
            f'Cannot read --{flag} "{path}": {error.strerror}.'
        ) from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        reason = _place(error) if secret else str(error)
        raise TokenRLError(
            f"Error parsing text-format {message.DESCRIPTOR.full_name} in "
            f'"{path}": {reason}.'
        ) from (None if secret else error)


def _place(error: text_format.ParseError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return f"look at line {error.GetLine()}, column {error.GetColumn()}"


def _build() -> dict[str, type[Message]]:
    file = descriptor_pb2.FileDescriptorProto(
        name="tf_tokenrl/serving.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, body in _MESSAGES.items():
        message = file.message_type.add(name=name)
        fields = _FIELD.findall(body)
        for number, (repeated, kind, field) in enumerate(fields, start=1):
            _add_field(message, field, kind, number, bool(repeated))
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(
            pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
        for name in _MESSAGES
    }


def _add_field(message, name: str, kind: str, number: int, repeated: bool):
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind in _MESSAGES:
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")


_CLASSES = _build()

SSLConfig = _CLASSES["SSLConfig"]
MonitoringConfig = _CLASSES["MonitoringConfig"]
BatchingParameters = _CLASSES["BatchingParameters"]
