"""The RPC GetModelMetadata: the signatures of a version."""

from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)

from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc.dispatch import require_spec
from tf_tokenrl.serving.status import invalid


def get_model_metadata(
    repository: Repository,
    request: GetModelMetadataRequest,
    context: RequestContext = UNLIMITED,
) -> GetModelMetadataResponse:
    """The signatures of the version that the request names.

    Raises:
        StatusError: what the real server would answer.
    """
    require_spec(request)
    if not request.metadata_field:
        raise invalid(
            "GetModelMetadataRequest must specify at least one metadata_field"
        )
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
    response = GetModelMetadataResponse()
    with repository.acquire(request.model_spec) as version:
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version.number
        response.metadata["signature_def"].Pack(
            SignatureDefMap(signature_def=version.loaded.signatures)
        )
    return response
