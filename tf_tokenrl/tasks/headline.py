"""Headline: a text is given, its one-line summary is asked for.

{"source": "def area(width, height) Multiplies the two sides, which must be \
in the same unit.", "target": "Compute the area of a rectangle."}
"""

from tf_tokenrl.datasets import readers
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import Task


class Headline(Task):
    """Summaries of docstrings, of the user's files or of any TFDS data set.

    For "docstrings" the prompt is the signature and the body, the reference
    is the summary, and the fields that are named mean nothing.
    """

    metrics = {
        "rouge_l": "rouge(variant='l')",
        "rouge_1": "rouge(variant='1')",
        "rouge_2": "rouge(variant='2')",
        "bleu": "bleu",
    }
    reward = "rouge(variant='l') - 0.02 * kl"

    def __init__(
        self,
        data: str = "docstrings",
        source: str = "source",
        target: str = "target",
        template: str = "",
        group: str = "",
    ):
        """See `Task`."""
        super().__init__(data, source, target, template, group)

    def examples(self, split: str) -> list[Example]:
        """See `Task.examples`."""
        if self.data != "docstrings":
            return super().examples(split)
        rows = readers.read(self.data, split, self.source)
        return [_docstring(row) for row in rows]


def _docstring(row: dict) -> Example:
    prompt = f"{row['signature']}\n{row['body']}".strip()
    fields = {name: row[name] for name in ("package", "kind") if name in row}
    group = row.get("package", "")
    return Example(prompt, (row["summary"],), row["name"], fields, group)
