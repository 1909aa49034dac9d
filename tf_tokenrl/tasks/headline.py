"""Headline: a text is given, its one-line summary is asked for."""

from tf_tokenrl.datasets import readers
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import Task


class Headline(Task):
    """Summaries of docstrings, of the user's files or of any TFDS data set.

    Args:
        data: see `tf_tokenrl.datasets.readers`.
        source: the field with the text; a list of texts is joined.
        target: the field with the headline; a list holds several good ones.

    For "docstrings" the prompt is the signature and the body, the reference
    is the summary, and the two field names mean nothing.
    """

    metrics = {
        "rouge_l": "rouge(variant='l')",
        "rouge_1": "rouge(variant='1')",
        "rouge_2": "rouge(variant='2')",
        "bleu": "bleu",
    }

    def __init__(
        self,
        data: str = "docstrings",
        source: str = "source",
        target: str = "target",
    ):
        self.data = str(data)
        self.source = source
        self.target = target

    def examples(self, split: str) -> list[Example]:
        rows = readers.read(self.data, split, self.source)
        if self.data == "docstrings":
            return [_docstring(row) for row in rows]
        return [self._example(row, i, split) for i, row in enumerate(rows)]

    def _example(self, row: dict, index: int, split: str) -> Example:
        return Example(
            " ".join(readers.texts(row, self.source, self.data)),
            tuple(readers.texts(row, self.target, self.data)),
            str(row.get("key", f"{split}-{index}")),
        )


def _docstring(row: dict) -> Example:
    prompt = f"{row['signature']}\n{row['body']}".strip()
    return Example(prompt, (row["summary"],), row["name"])
