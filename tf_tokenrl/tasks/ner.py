"""Named entities: each word of a text gets a tag."""

import re

from tf_tokenrl.datasets import readers
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import LabelTask

_SPACE = re.compile(r"[ \t\n\v\f\r]+")  # what `tf.strings.split` splits at


class Ner(LabelTask):
    """Words and tags from column files, JSON Lines or TensorFlow Datasets.

    The prompt is the words joined by spaces, the reference their tags. Tags
    of spans are made IOB2: the first tag of a span is B-, whether the data
    say so (IOB2) or only where two spans of one kind meet (IOB1, as
    CoNLL-2003 does). Other tags stay as they are.

    Args:
        data: see `tf_tokenrl.datasets.readers`.
        source: the field with the words, a list or a text; where a row lacks
            it, "tokens".
        target: the field with the tags, likewise; or else "ner", "ner_tags"
            or "tags".

    Source: Tjong Kim Sang and Veenstra (1999), "Representing Text Chunks".
    """

    unit = "word"
    metrics = {"token_accuracy": "token_accuracy", "entity_f1": "entity_f1"}

    def __init__(
        self, data: str, source: str = "source", target: str = "target"
    ):
        self.data = str(data)
        self.source = (source, "tokens")
        self.target = (target, "ner", "ner_tags", "tags")

    def examples(self, split: str) -> list[Example]:
        """See `Task.examples`.

        Raises:
            TokenRLError: words and tags of a row differ in number.
        """
        rows = readers.read(self.data, split, self.source)
        return [self._example(row, i, split) for i, row in enumerate(rows)]

    def _example(self, row: dict, index: int, split: str) -> Example:
        key = str(row.get("key", f"{split}-{index}"))
        prompt = " ".join(readers.texts(row, self.source, self.data))
        tags = " ".join(readers.texts(row, self.target, self.data)).split()
        words = len([word for word in _SPACE.split(prompt) if word])
        if words != len(tags):
            raise TokenRLError(
                f'Row "{key}" of "{self.data}" has {words} words but '
                f'{len(tags)} tags ("{prompt[:40]}..."): give each word one.'
            )
        return Example(prompt, (" ".join(begin_spans(tags)),), key)


def begin_spans(tags: list[str]) -> list[str]:
    """IOB1 or IOB2 tags as IOB2: an I- that continues nothing becomes B-."""
    made = []
    before = "O"
    for tag in tags:
        kind = tag.removeprefix("I-")
        if kind != tag and before not in (tag, f"B-{kind}"):
            made.append(f"B-{kind}")
        else:
            made.append(tag)
        before = tag
    return made
