"""A gRPC client for served models; it imports no TensorFlow.

with Client("localhost:8500", model="headline") as client:
    print(client.generate("Return the length of a list.").text)
"""

from tf_tokenrl.client.client import Client
from tf_tokenrl.client.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    ServingError,
    Unavailable,
    Unimplemented,
)
from tf_tokenrl.client.replies import (
    Reply,
    Score,
    Signature,
    TensorSpec,
    VersionStatus,
)

__all__ = [
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "Reply",
    "ResourceExhausted",
    "Score",
    "ServingError",
    "Signature",
    "TensorSpec",
    "Unavailable",
    "Unimplemented",
    "VersionStatus",
]
