"""Classification: a text gets one label.

{"text": "The best film of the year.", "label": "positive"}
"""

from tf_tokenrl.datasets import readers
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import LabelTask


class Classification(LabelTask):
    """Texts and labels from JSON Lines or TensorFlow Datasets.

    Args:
        data: see `Task`.
        source: the field with the text, or else "text" or "sentence".
        target: the field with the label, or else "label".
        labels: names of the classes, where the data give their numbers.
    """

    unit = "text"
    metrics = {"accuracy": "exact_match(normalize=False)"}
    reward = "exact_match(normalize=False) - 0.02 * kl"
    sources = ("text", "sentence")
    targets = ("label",)

    def example(self, row: dict, key: str) -> Example:
        """See `Task.example`.

        Raises:
            TokenRLError: a row has no label, or several.
        """
        found, place = (
            super().example(row, key),
            readers.place(row, self.data, key),
        )
        labels = [text.strip() for text in found.references if text.strip()]
        if len(labels) != 1:
            raise TokenRLError(
                f"{place} has {len(labels)} labels: give each text one."
            )
        return found._replace(references=(self.named(labels[0], place),))
