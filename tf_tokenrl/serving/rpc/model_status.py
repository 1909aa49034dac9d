"""The RPC GetModelStatus: the states of a model's versions."""

import grpc
from tensorflow_serving.apis.get_model_status_pb2 import (
    GetModelStatusRequest,
    GetModelStatusResponse,
)

from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.rpc.dispatch import require_spec
from tf_tokenrl.serving.status import StatusError


def get_model_status(
    repository: Repository,
    request: GetModelStatusRequest,
    context: RequestContext = UNLIMITED,
) -> GetModelStatusResponse:
    """The states of a model's versions, the highest first.

    A label in the request is ignored, as the real server does.

    Note: while a failed load waits for its next try, the text of the failure
    is shown beside LOADING; the real server shows it only at the end.

    Raises:
        StatusError: what the real server would answer.
    """
    require_spec(request)
    spec = request.model_spec
    versions = repository.versions(spec.name)
    if not versions:
        raise StatusError(
            grpc.StatusCode.NOT_FOUND,
            f"Could not find any versions of model {spec.name}",
        )
    if spec.HasField("version"):
        number = spec.version.value
        versions = [v for v in versions if v.number == number]
        if not versions:
            raise StatusError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find version {number} of model {spec.name}",
            )
    response = GetModelStatusResponse()
    for version in versions:
        shown = response.model_version_status.add(
            version=version.number, state=int(version.state)
        )
        if version.error:
            shown.status.error_code = version.error.code.value[0]
            shown.status.error_message = version.error.text
        else:
            shown.status.SetInParent()
    return response
