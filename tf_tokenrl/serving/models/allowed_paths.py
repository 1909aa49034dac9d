"""Allowed paths: where HandleReloadConfigRequest may load models from."""

import posixpath
from collections.abc import Iterable

import grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.status import StatusError

ANYWHERE = "*"


class AllowedPaths:
    """Directories below which HandleReloadConfigRequest may name models.

    A SavedModel is a program: who could name any path could run any that lies
    on this machine. The configuration file may name what it likes.

    Note: the real server has no such limit.

    Args:
        allowed: `--reload_base_paths`, paths with commas. Without one it is
            the directories that hold the first models' own; "*" is anywhere.
        first: the models of the start.
    """

    def __init__(self, allowed: str, first: Iterable[ModelConfig]):
        if allowed:
            self._roots = {_plain(path) for path in allowed.split(",")}
        else:
            bases = {_plain(model.base_path) for model in first}
            homes = {posixpath.dirname(base) for base in bases}
            self._roots = bases | {home for home in homes if home != "/"}

    def check(self, models: Iterable[ModelConfig]) -> None:
        """Refuse models from elsewhere.

        Raises:
            StatusError: PERMISSION_DENIED.
        """
        if ANYWHERE in self._roots:
            return
        for model in models:
            path = model.base_path
            inside = any(
                f"{_plain(path)}/".startswith(f"{root.rstrip('/')}/")
                for root in self._roots
            )
            if ".." in path.split("/") or not inside:
                raise StatusError(
                    grpc.StatusCode.PERMISSION_DENIED,
                    f"Model {model.name} may not be loaded from {path}: it "
                    "lies outside the directories of --reload_base_paths",
                )


def _plain(path: str) -> str:
    """Without double or trailing slashes; a scheme keeps its own."""
    scheme, mark, rest = path.rpartition("://")
    plain = posixpath.normpath(rest)
    plain = plain.removeprefix("/") if plain.startswith("//") else plain
    return f"{scheme}{mark}{plain}"
