"""Names for versions: "stable" is version 3 of this model."""

from collections.abc import Callable, Iterable

import grpc
from tensorflow_serving.config.model_server_config_pb2 import ModelConfig

from tf_tokenrl.serving.status import StatusError, invalid


class VersionLabels:
    """The labels of all models, at one moment.

    Args:
        lenient: whether a label that is new may name any version; otherwise,
            and whenever a label moves, only one that is available.
        numbers: by model and label; None before the first configuration.
    """

    def __init__(
        self, lenient: bool, numbers: dict[tuple[str, str], int] | None = None
    ):
        self._lenient = lenient
        self._numbers = numbers

    def number(self, model: str, label: str) -> int:
        """The version that a label names.

        Raises:
            StatusError: INVALID_ARGUMENT, or UNAVAILABLE before the first
                configuration.
        """
        if self._numbers is None:
            raise StatusError(
                grpc.StatusCode.UNAVAILABLE,
                f"Model labels does not init yet.{label}",
            )
        if (model, label) not in self._numbers:
            raise invalid(f"Unrecognized servable version label: {label}")
        return self._numbers[model, label]

    def after(
        self,
        models: Iterable[ModelConfig],
        available: Callable[[str, int], bool],
    ) -> "VersionLabels":
        """The labels of the next configuration.

        Args:
            available: whether a version of a model can answer now.

        Raises:
            StatusError: FAILED_PRECONDITION.
        """
        numbers = {}
        for model in models:
            for label, number in sorted(model.version_labels.items()):
                known = (self._numbers or {}).get((model.name, label), number)
                free = self._lenient and known == number
                if not free and not available(model.name, number):
                    raise StatusError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of "
                        f"model {model.name}, which is not currently "
                        "available for inference",
                    )
                numbers[model.name, label] = number
        return VersionLabels(self._lenient, numbers)
