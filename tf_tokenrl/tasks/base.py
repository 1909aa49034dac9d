"""The contract of tasks."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from tf_tokenrl.errors import TokenRLError
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

    def remark(self) -> str:
        """How `examples` read the data, where that needs saying; else ""."""
        return ""


class LabelTask(Task):
    """A task whose answers are labels, joined by spaces.

    Attributes:
        unit: "word", each word of a prompt gets a label, or "text", it gets
            one as a whole.
        names: of classes that data give by number: 0 is the first.
    """

    unit: str = "text"
    names: tuple[str, ...] = ()

    def named(self, label: str, row: str) -> str:
        """The name of a label that may be a class number.

        Raises:
            TokenRLError: there are names, and the label is none of them.
        """
        if not self.names or label in self.names:
            return label
        if label.isdecimal() and int(label) < len(self.names):
            return self.names[int(label)]
        raise TokenRLError(
            f'Row "{row}" has the label "{label}", which is neither a number '
            f"below {len(self.names)} nor one of the names that were given "
            f"({', '.join(self.names)}): give the name of each class, in the "
            "order of their numbers."
        )

    def labels(self, examples: Iterable[Example]) -> tuple[str, ...]:
        """All labels that the references have, sorted.

        Raises:
            TokenRLError: there is only one, or none.
        """
        found: set[str] = set()
        for example in examples:
            for answer in example.references:
                found |= set(self.parts(answer))
        if len(found) < 2:
            raise TokenRLError(
                f"The examples have {len(found)} label: at least 2 are needed "
                "to choose from."
            )
        return tuple(sorted(found))

    def parts(self, answer: str) -> list[str]:
        """The labels of an answer."""
        return answer.split() if self.unit == "word" else [answer]
