"""What a task is: where prompts and good answers come from, and how it reads.

A task is data about data. What differs between tasks is in a few attributes;
`examples` reads any source by them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tf_tokenrl.datasets import prepared, readers
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.flow import Example

_FIELD = re.compile(r"\{(\w+)\}")


class Kind(NamedTuple):
    """What an answer is, and what follows from it for the data.

    Attributes:
        name: "writes", "tags" or "classifies"; a policy has the same.
        unit: what gets a label, "word" or "text"; "" where answers are texts.
        cleans: whether a prompt may be rewritten; words that have a label
            each stay as they are.
        cuts: whether a prompt that is too long is cut; else its row is
            dropped.
    """

    name: str
    unit: str = ""
    cleans: bool = True
    cuts: bool = True

    @property
    def labels(self) -> bool:
        """Whether answers are labels, which no tokenizer reads."""
        return bool(self.unit)


WRITES = Kind("writes")
TAGS = Kind("tags", unit="word", cleans=False, cuts=False)
CLASSIFIES = Kind("classifies", unit="text")


class Task:
    """Prompts, good answers, and how answers are measured.

    A task of your own sets the attributes below; one whose rows need more
    than fields overrides `example`, one whose data are elsewhere `examples`.

    Attributes:
        kind: what an answer is.
        metrics: name of a measurement -> reward expression, in the language
            of `tf_tokenrl.rewards.parse`.
        reward: what `train` rewards where it is not told, likewise.
        template: the prompt, with fields of the row in braces; "{source}"
            stands for the field that `source` names.
        sources: fields for the prompt where a row lacks the one named.
        targets: fields for the answer, likewise.
    """

    kind: Kind = WRITES
    metrics: Mapping[str, str] = {}
    reward: str = ""
    template: str = "{source}"
    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    _prompts_only = False  # of the rows that were read last

    def __init__(
        self,
        data: str,
        source: str = "source",
        target: str = "target",
        template: str = "",
        group: str = "",
    ):
        """Say where the rows are and which of their fields count.

        Args:
            data: see `tf_tokenrl.datasets.readers`.
            source: the field with the text; a list of texts is joined.
            target: the field with the answer; a list holds several. Rows of
                nothing but prompts need none, and "" takes none.
            template: in place of the task's own. Prepared rows hold finished
                prompts, so it does not apply to them.
            group: the field with what rows belong to, such as a dialogue; a
                group stays in one split.
        """
        self.data = str(data)
        self.source = (source, *self.sources)
        self.target = (target, *self.targets)
        self.group = group or "group"
        self.is_prepared = bool(prepared.recorded(self.data))
        if self.is_prepared:
            self.template = "{source}"
        else:
            self.template = template or self.template

    def examples(self, split: str) -> list[Example]:
        """The rows of "train", "validation" or "test", always in one order.

        Raises:
            TokenRLError: the data cannot be read, or the split is empty.
        """
        rows = readers.read(self.data, split, self._decides(), self.group)
        known = {*self.source, "key", "fields", self.group}
        self._prompts_only = all(set(row) <= known for row in rows)
        return [
            self.example(row, str(row.get("key", f"{split}-{number}")))
            for number, row in enumerate(rows)
        ]

    def remark(self) -> str:
        """How `examples` read the data, where that needs saying; else ""."""
        return ""

    def example(self, row: dict, key: str) -> Example:
        """One row as a prompt, its good answers and its name.

        Raises:
            TokenRLError: the row lacks a field.
        """
        others = self.others(row)
        group = str(row.get(self.group) or "")
        return Example(self.prompt(row), self.answers(row), key, others, group)

    def answers(self, row: dict) -> tuple[str, ...]:
        """The good answers of a row; none where it is a prompt alone."""
        if self._prompts_only or not self.target[0]:
            return ()
        return tuple(readers.texts(row, self.target, self.data))

    def others(self, row: dict) -> dict:
        """The columns that are neither prompt nor answer."""
        if self.is_prepared:
            return row.get("fields") or {}
        used = {"key", *self.target}
        if self.template == "{source}":
            used |= set(self.source)
        return {k: v for k, v in row.items() if k not in used and _plain(v)}

    def _decides(self) -> tuple[str, ...]:
        """The fields of which the first that is there decides the split."""
        names = [*self.source, *_FIELD.findall(self.template)]
        return tuple(dict.fromkeys(names))

    def prompt(self, row: dict) -> str:
        """The template with the row's fields in it."""

        def filled(found: re.Match) -> str:
            name = found[1]
            fields = self.source if name == "source" else name
            return " ".join(readers.texts(row, fields, self.data))

        return _FIELD.sub(filled, self.template)

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
        return answer.split() if self.kind.unit == "word" else [answer]

    def check(self, policy) -> None:
        """A policy must give the kind of answer that the task wants.

        Raises:
            TokenRLError: it does not.
        """
        if policy.kind != self.kind.name:
            name = type(self).__name__.lower()
            raise TokenRLError(
                f'This policy {_DOES[policy.kind]}, but the task "{name}" '
                f"needs one that {_DOES[self.kind.name]}: name the task that "
                "the policy was made for by --task, and its data by --data."
            )


def _plain(value) -> bool:
    """Whether JSON can hold a value as it is."""
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(_plain, value))
    return value is None or isinstance(value, (str, int, float, bool))


class LabelTask(Task):
    """A task whose answers are labels, joined by spaces.

    Attributes:
        unit: "word", each word of a prompt gets a label, or "text", it gets
            one as a whole.
        names: of classes that data give by number: 0 is the first.
    """

    unit: str = "text"
    names: tuple[str, ...] = ()

    def __init__(
        self,
        data: str,
        source: str = "source",
        target: str = "target",
        template: str = "",
        labels: Sequence[str] = (),
        group: str = "",
    ):
        """See `Task`; `labels` are the names of classes given by number."""
        super().__init__(data, source, target, template, group)
        self.names = tuple(labels)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        units = {kind.unit: kind for kind in (TAGS, CLASSIFIES)}
        if cls.unit not in units:
            raise unknown("unit of labels", cls.unit, units)
        cls.kind = units[cls.unit]

    def named(self, label: str, row: str) -> str:
        """The name of a label that may be a class number.

        Args:
            label: as the data have it.
            row: where it stands, to begin a sentence with.

        Raises:
            TokenRLError: there are names, and the label is none of them.
        """
        if not self.names or label in self.names:
            return label
        if label.isdecimal() and int(label) < len(self.names):
            return self.names[int(label)]
        raise TokenRLError(
            f'{row} has the label "{label}", which is neither a number below '
            f"{len(self.names)} nor one of the names that were given "
            f"({', '.join(self.names)}): give the name of each class, in the "
            "order of their numbers."
        )


_DOES = {
    "writes": "writes text",
    "tags": "tags words",
    "classifies": "chooses a label for each text",
}
