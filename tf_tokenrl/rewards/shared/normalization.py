"""Answers made comparable, as the question answering benchmarks do it."""

import re
import string

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized_words(text: str) -> list[str]:
    """The words of a text without case, punctuation, a, an, the.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine
    Comprehension of Text", section 6.1.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()
