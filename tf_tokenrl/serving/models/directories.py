"""The numbered version directories of a model."""

import re
from collections.abc import Callable, Iterable

import tensorflow as tf
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.status import StatusError

_NUMBER = re.compile(r"\s*[+-]?[0-9]+\s*")
Warn = Callable[[str], None]


def find_versions(model: ModelConfig, warn: Warn) -> dict[int, str]:
    """The paths of the versions to serve, by number.

    Args:
        model: its base path and its policy: `latest` (the default, one
            version), `all`, or `specific` ones.
        warn: receives what is odd about the directory.

    Raises:
        OSError: the base path cannot be listed.
    """
    base = model.base_path
    try:
        names = [name.rstrip("/") for name in tf.io.gfile.listdir(base)]
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise OSError(
            f"Could not find base path {base} for servable {model.name} with "
            f"error {StatusError.of(error)}"
        ) from error
    found = _by_number(names, warn)
    wanted = _chosen(model, found, warn)
    if not wanted:
        warn(
            f"No versions of servable {model.name} found under base path "
            f"{base}. Did you forget to name your leaf directory as a number "
            "(eg. '/1/')?"
        )
    return {number: f"{base.rstrip('/')}/{found[number]}" for number in wanted}


def _by_number(names: Iterable[str], warn: Warn) -> dict[int, str]:
    found: dict[int, str] = {}
    for name in sorted(names):
        if not _NUMBER.fullmatch(name) or not -(2**63) <= int(name) < 2**63:
            continue
        if int(name) in found:
            warn(
                "Duplicate version directories detected. Version "
                f"{int(name)} will be loaded from {name}, "
                f"{found[int(name)]} will be ignored."
            )
        found[int(name)] = name
    return found


def _chosen(model: ModelConfig, found: dict[int, str], warn: Warn) -> list[int]:
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return sorted(found)
    if kind != "specific":
        return sorted(found)[-max(policy.latest.num_versions, 1) :]
    for number in policy.specific.versions:
        if number not in found:
            warn(
                f"Version {number} of servable {model.name}, which was "
                "requested to be served as a 'specific' version in the "
                "servable's version policy, was not found in the file system"
            )
    return sorted(found.keys() & set(policy.specific.versions))
