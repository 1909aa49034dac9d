"""Classification: a text gets one label."""

from collections.abc import Sequence

from tf_tokenrl.datasets import readers
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import LabelTask


class Classification(LabelTask):
    """Texts and labels from JSON Lines or TensorFlow Datasets.

    Args:
        data: see `tf_tokenrl.datasets.readers`.
        source: the field with the text, a list of texts is joined; where a
            row lacks it, "text" or "sentence".
        target: the field with the label, or else "label".
        labels: names of the classes, where the data give their numbers.
    """

    unit = "text"
    metrics = {"accuracy": "exact_match(normalize=False)"}

    def __init__(
        self,
        data: str,
        source: str = "source",
        target: str = "target",
        labels: Sequence[str] = (),
    ):
        self.data = str(data)
        self.names = tuple(labels)
        self.source = (source, "text", "sentence")
        self.target = (target, "label")

    def examples(self, split: str) -> list[Example]:
        """See `Task.examples`.

        Raises:
            TokenRLError: a row has no label, or several.
        """
        rows = readers.read(self.data, split, self.source)
        return [self._example(row, i, split) for i, row in enumerate(rows)]

    def _example(self, row: dict, index: int, split: str) -> Example:
        key = str(row.get("key", f"{split}-{index}"))
        labels = readers.texts(row, self.target, self.data)
        labels = [label.strip() for label in labels if label.strip()]
        if len(labels) != 1:
            raise TokenRLError(
                f'Row "{key}" of "{self.data}" has {len(labels)} labels: '
                "give each text one."
            )
        prompt = " ".join(readers.texts(row, self.source, self.data))
        return Example(prompt, (self.named(labels[0], key),), key)
