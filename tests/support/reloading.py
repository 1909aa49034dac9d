"""A server that is told again and again what to serve."""

import contextlib

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest
from tensorflow_serving.apis.model_management_pb2 import ReloadConfigRequest
from tensorflow_serving.apis.model_service_pb2_grpc import ModelServiceStub
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceStub,
)

from tests.support.asking import SECONDS, X, ask, failure, spec, with_version
from tf_tokenrl.serving import Flags, Server


def listing(folder, *models):
    """A configuration of models in folders of their names."""
    blocks = [
        f'config {{ name: "{model}" base_path: "{folder}/{model}" '
        'model_platform: "tensorflow" }'
        for model in models
    ]
    return f"model_config_list {{ {' '.join(blocks)} }}"


class Running:
    """What asks it."""

    def __init__(self, folder, server):
        self.folder = folder
        self.server = server
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self._models = ModelServiceStub(self.channel)
        self.predict = PredictionServiceStub(self.channel).Predict

    def reload(self, text, seconds=SECONDS):
        return self._models.HandleReloadConfigRequest(
            self._request(text), timeout=seconds
        )

    def refusal(self, text, seconds=SECONDS):
        method = self._models.HandleReloadConfigRequest
        return failure(method, self._request(text), seconds)

    def states(self, name):
        request = GetModelStatusRequest(model_spec=spec(name))
        response = self._models.GetModelStatus(request, timeout=SECONDS)
        return {
            status.version: status.State.Name(status.state)
            for status in response.model_version_status
        }

    def answers(self, name, **version):
        request = ask(name=name, x=X)
        if version:
            with_version(request, **version)
        response = self.predict(request, timeout=SECONDS)
        return response.model_spec.version.value

    def settled(self, name, expected):
        """Wait for the thread that watches; it has been told already."""
        changed = self.server._repository._changed
        for _ in range(int(SECONDS / 0.01)):
            if self.states(name) == expected:
                return True
            with changed:
                changed.wait(0.01)
        return False

    @staticmethod
    def _request(text):
        request = ReloadConfigRequest()
        text_format.Parse(text, request.config)
        return request


@contextlib.contextmanager
def running(folder, **flags):
    """One that starts without any model; a load that fails is not repeated."""
    config = folder / "models.config"
    config.write_text("")
    flags = Flags(
        port=0,
        model_config_file=str(config),
        max_num_load_retries=0,
        reload_base_paths="*",
        **flags,
    )
    with Server(flags) as server:
        made = Running(folder, server)
        with made.channel:
            yield made
