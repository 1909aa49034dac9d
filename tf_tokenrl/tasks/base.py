"""The contract of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from tf_tokenrl.flow import Example


class Task(ABC):
    """Prompts, good answers, and how answers are measured.

    Attributes:
        metrics: name of a measurement -> reward expression, in the language
            of `tf_tokenrl.rewards.parse`.
    """

    metrics: Mapping[str, str] = {}

    @abstractmethod
    def examples(self, split: str) -> list[Example]:
        """The rows of "train", "validation" or "test", always in one order.

        Raises:
            TokenRLError: the data cannot be read, or the split is empty.
        """
