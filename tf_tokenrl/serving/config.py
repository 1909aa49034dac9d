"""Which models to serve: flags and `models.config` to ModelConfig protos."""

from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import (
    TENSORFLOW,
    ModelConfig,
    ModelServerConfig,
)

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.serving.flags import Flags
from tf_tokenrl.serving.status import StatusError, invalid


def configured_models(flags: Flags) -> list[ModelConfig]:
    """The models that the flags ask for.

    Raises:
        TokenRLError: no model is asked for, or the file is not usable.
    """
    if flags.model_config_file:
        return _read(Path(flags.model_config_file))
    if not flags.model_base_path:
        raise TokenRLError(
            "Nothing to serve: give --model_base_path=DIRECTORY or "
            "--model_config_file=FILE."
        )
    path = flags.model_base_path
    if not _is_absolute(path):
        path = str(Path(path).resolve())
    return [
        ModelConfig(
            name=flags.model_name, base_path=path, model_platform="tensorflow"
        )
    ]


def _read(path: Path) -> list[ModelConfig]:
    try:
        config = text_format.Parse(path.read_text("utf-8"), ModelServerConfig())
        return validated(config)
    except OSError as error:
        raise TokenRLError(
            f'Cannot read --model_config_file "{path}": {error.strerror}.'
        ) from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise TokenRLError(
            f'"{path}" is no text-format ModelServerConfig: {error}.'
        ) from error
    except StatusError as error:
        raise TokenRLError(f'Correct "{path}": {error.text}.') from error


def validated(config: ModelServerConfig) -> list[ModelConfig]:
    """The models of a configuration.

    Raises:
        StatusError: what the real server says of a configuration it rejects.
    """
    if config.WhichOneof("config") == "custom_model_config":
        raise invalid("ModelServer does not yet support custom model config")
    models = list(config.model_config_list.config)
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid(
                f"Illegal to list model {model.name} multiple times in config "
                "list"
            )
        seen.add(model.name)
        _validate(model)
    return models


def _validate(model: ModelConfig) -> None:
    if not _is_absolute(model.base_path):
        raise invalid(
            f"Expected model {model.name} to have an absolute path or URI; "
            f"got base_path()={model.base_path}"
        )
    platform = model.model_platform
    if not platform and model.model_type == TENSORFLOW:
        platform = "tensorflow"
    if not platform:
        raise invalid(
            "Illegal setting neither ModelServerConfig::model_type "
            "(deprecated) nor ModelServerConfig::model_platform, model name "
            f"is {model.name}"
        )
    if platform != "tensorflow":
        raise invalid(
            f"Model {model.name} requests unsupported platform {platform}"
        )


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or "://" in path
