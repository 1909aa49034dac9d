import pytest
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest

from tests.support.asking import SECONDS, failure


def status_request(name="half", version=None):
    request = GetModelStatusRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    return request


@pytest.mark.parametrize("version", [None, 7])
def test_status(models, version):
    response = models.GetModelStatus(
        status_request(version=version), timeout=SECONDS
    )
    (status,) = response.model_version_status
    assert status.version == 7
    assert status.state == status.AVAILABLE
    assert status.HasField("status") and status.status.error_code == 0


def test_a_label_is_ignored(models):
    request = status_request()
    request.model_spec.version_label = "nosuch"
    response = models.GetModelStatus(request, timeout=SECONDS)
    assert [s.version for s in response.model_version_status] == [7]


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (GetModelStatusRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (
            status_request("whole"),
            "NOT_FOUND",
            "Could not find any versions of model whole",
        ),
        (
            status_request(version=8),
            "NOT_FOUND",
            "Could not find version 8 of model half",
        ),
    ],
)
def test_status_errors(models, request_, code, text):
    assert failure(models.GetModelStatus, request_) == (code, text)
