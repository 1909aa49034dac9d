"""Which models to serve: flags and `models.config` to a ModelServerConfig."""

from collections.abc import Iterable
from pathlib import Path

from tensorflow_serving.config.model_server_config_pb2 import (
    TENSORFLOW,
    ModelConfig,
    ModelServerConfig,
)

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving import schema
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.status import StatusError, invalid


def configuration(flags: Flags) -> ModelServerConfig:
    """What the flags ask for.

    Raises:
        TokenRLError: no model is asked for, or the file is not usable.
    """
    config = ModelServerConfig()
    if flags.model_config_file:
        config = read(flags.model_config_file)
        try:
            check_list(config)
            check_platforms(config.model_config_list.config)
            check_logging(config.model_config_list.config)
        except StatusError as error:
            raise TokenRLError(
                f'Correct "{flags.model_config_file}": {error.text}.'
            ) from error
        return config
    if not flags.model_base_path:
        raise TokenRLError(
            "Nothing to serve: give --model_base_path=DIRECTORY or "
            "--model_config_file=FILE."
        )
    path = flags.model_base_path
    if not _is_absolute(path):
        path = str(Path(path).resolve())
    config.model_config_list.config.add(
        name=flags.model_name, base_path=path, model_platform="tensorflow"
    )
    return config


def read(path: str) -> ModelServerConfig:
    """A `models.config` in text format.

    Raises:
        TokenRLError: the file is not usable.
    """
    return schema.read(path, ModelServerConfig(), "model_config_file")


def check_list(config: ModelServerConfig) -> None:
    """Names must be unique, and paths absolute.

    Raises:
        StatusError: what the real server says of a list it rejects.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("ModelServer does not yet support custom model config")
    models = config.model_config_list.config
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid(
                f"Illegal to list model {model.name} multiple times in config "
                "list"
            )
        seen.add(model.name)
    for model in models:
        if not _is_absolute(model.base_path):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or "
                f"URI; got base_path()={model.base_path}"
            )


def check_platforms(models: Iterable[ModelConfig]) -> None:
    """Each model must be one of TensorFlow's.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    for model in models:
        if platform(model) != "tensorflow":
            raise invalid(
                f"Model {model.name} requests unsupported platform "
                f"{platform(model)}"
            )


def check_logging(models: Iterable[ModelConfig]) -> None:
    """No request can be logged: the stock server has nothing for it either.

    Raises:
        StatusError: INVALID_ARGUMENT, a model asks for it.
    """
    if any(model.HasField("logging_config") for model in models):
        raise invalid("No request-logger-creator provided.")


def platform(model: ModelConfig) -> str:
    """The platform that a model names, in one of the two ways.

    Raises:
        StatusError: INVALID_ARGUMENT, it names none, or both ways.
    """
    if model.model_type:
        if model.model_platform:
            raise invalid(
                "Illegal setting both ModelServerConfig::model_type "
                "(deprecated) and ModelServerConfig::model_platform."
            )
        if model.model_type != TENSORFLOW:
            raise invalid(
                f"ModelServerConfig::model_type choice {model.model_type} not "
                "supported."
            )
        return "tensorflow"
    if not model.model_platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            f"is {model.name}"
        )
    return model.model_platform


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or "://" in path
