"""The RPC HandleReloadConfigRequest, and a configuration file watched."""

import logging
import threading

from tensorflow_serving.apis.model_management_pb2 import (
    ReloadConfigRequest,
    ReloadConfigResponse,
)

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import config
from tf_tokenrl.serving.models.repository import Repository
from tf_tokenrl.serving.request_context import UNLIMITED, RequestContext
from tf_tokenrl.serving.status import StatusError, invalid

logger = logging.getLogger(__name__)


def handle_reload_config_request(
    repository: Repository,
    request: ReloadConfigRequest,
    context: RequestContext = UNLIMITED,
) -> ReloadConfigResponse:
    """Serve other models; answers when the new ones are available.

    Raises:
        StatusError: what the real server would answer. A configuration that
            is refused changes nothing; one whose model fails to load stays.
    """
    try:
        if request.config.WhichOneof("config") != "model_config_list":
            raise invalid(
                "ServerModelConfig type not supported by "
                "HandleReloadConfigRequest. Only ModelConfigList is currently "
                "supported"
            )
        repository.reload(request.config, context)
    except StatusError as error:
        logger.error("ReloadConfig failed: %s", error.text)
        raise
    response = ReloadConfigResponse()
    response.status.SetInParent()
    return response


class ConfigFile:
    """Reads `--model_config_file` again and again, in a thread.

    Args:
        path: the file.
        seconds: the time between two looks.
        repository: reloads what is found. What cannot be used is logged.
    """

    def __init__(self, path: str, seconds: int, repository: Repository):
        self._path = path
        self._seconds = seconds
        self._repository = repository
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="models.config", daemon=True
        )

    def start(self) -> None:
        """Look for the first time after `seconds`."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> None:
        """Read the file and reload."""
        try:
            found = config.read(self._path)
        except TokenRLError as error:
            logger.error("Failed to read ModelServerConfig file: %s", error)
            return
        try:
            self._repository.follow(found)
        except StatusError as error:
            logger.error(
                "PollFilesystemAndReloadConfig failed to ReloadConfig: %s",
                error.text,
            )

    def _watch(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.look()
            except Exception:  # the next look may go well
                logger.exception("Reading %s again has failed", self._path)
