"""Named entities: each word of a text gets a tag.

{"tokens": ["Ada", "Lovelace", "writes"], "tags": ["B-PER", "I-PER", "O"]}
"""

import re

from tf_tokenrl.datasets import readers
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks.base import LabelTask
from tf_tokenrl.text import tags as schemes

_SPACE = re.compile(r"[ \t\n\v\f\r]+")  # what `tf.strings.split` splits at


class Ner(LabelTask):
    """Words and tags from column files, JSON Lines or TensorFlow Datasets.

    The prompt is the words joined by spaces, the reference their tags, in any
    scheme that `tf_tokenrl.text.tags` reads: "B_PER" and "PER-B" are written
    "B-PER", and IOB1 (as in CoNLL-2003) as IOB2. Tags that mark no spans stay
    as they are; numbers need names.

    Args:
        data: see `tf_tokenrl.datasets.readers`.
        source: the field with the words, a list or a text; where a row lacks
            it, "tokens".
        target: the field with the tags, likewise; or else "ner", "ner_tags"
            or "tags".
        labels: names of the tags, where the data give their numbers.

    Source: Tjong Kim Sang and Veenstra (1999), "Representing Text Chunks".
    """

    unit = "word"
    metrics = {"token_accuracy": "token_accuracy", "entity_f1": "entity_f1"}
    reward = "token_accuracy(rate=False) - 0.01 * kl"
    sources = ("tokens",)
    targets = ("ner", "ner_tags", "tags")

    _scheme = schemes.Scheme("", False, "")  # of what was read last

    def examples(self, split: str) -> list[Example]:
        """See `Task.examples`.

        Raises:
            TokenRLError: the tags are numbers without names.
        """
        examples = super().examples(split)
        rows = [example.reference.split() for example in examples]
        found = {tag for tags in rows for tag in tags}
        if found and all(tag.isdecimal() for tag in found):
            raise TokenRLError(
                f'The tags of "{self.data}" are class numbers ('
                f"{', '.join(sorted(found, key=int)[:9])}): give their names "
                "in the order of the numbers, as in --labels O B-PER I-PER."
            )
        self._scheme = schemes.scheme(rows)
        return [
            example._replace(references=(" ".join(schemes.in_one_form(tags)),))
            for example, tags in zip(examples, rows, strict=True)
        ]

    def example(self, row: dict, key: str) -> Example:
        """See `Task.example`; tags are still in the scheme of the data.

        Raises:
            TokenRLError: words and tags of a row differ in number.
        """
        found, place = (
            super().example(row, key),
            readers.place(row, self.data, key),
        )
        tags = " ".join(found.references).split()
        words = len([word for word in _SPACE.split(found.prompt) if word])
        if words != len(tags):
            raise TokenRLError(
                f"{place} has {words} words but {len(tags)} tags "
                f'("{found.prompt[:40]}..."): give each word one.'
            )
        names = " ".join(self.named(tag, place) for tag in tags)
        return found._replace(references=(names,))

    def remark(self) -> str:
        """Which scheme the tags that were read last have."""
        found = self._scheme
        if found.name == "IOB1":
            return f"Tags: IOB1, such as {found.example}, written as IOB2."
        if found.name:
            return f"Tags: {found.name}, such as {found.example}."
        return (
            f'Tags: no scheme of spans ("{found.example}" is not B-, I- or '
            "the like), so entity_f1 does not apply; token_f1 and "
            "token_accuracy do."
        )
