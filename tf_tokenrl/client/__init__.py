"""A gRPC client for served models; it imports no TensorFlow.

with Client("localhost:8500", model="headline") as client:
    print(client.generate("Return the length of a list.").text)
"""

from tf_tokenrl.client.async_client import AsyncClient
from tf_tokenrl.client.client import Client
from tf_tokenrl.client.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    ServingError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    Unknown,
)
from tf_tokenrl.client.replies import (
    Label,
    Piece,
    Reply,
    Score,
    Signature,
    Tags,
    TensorSpec,
    VersionStatus,
)
from tf_tokenrl.client.tls import TLS

__all__ = [
    "Aborted",
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "DataLoss",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "Label",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "Piece",
    "Reply",
    "ResourceExhausted",
    "Score",
    "ServingError",
    "Signature",
    "TLS",
    "Tags",
    "TensorSpec",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "VersionStatus",
]
