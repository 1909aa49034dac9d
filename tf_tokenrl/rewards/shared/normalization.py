"""Answers made comparable, as the question answering benchmarks do it."""

import re
import string

from tf_tokenrl.text.words import pieces

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized_words(text: str) -> list[str]:
    """The words of a text without case, ASCII punctuation, a, an, the.

    In scripts without spaces each character is a word, as the successors of
    the benchmark in other languages count.

    Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine
    Comprehension of Text", section 6.1.
    """
    text = text.lower().translate(_PUNCTUATION)
    return pieces(_ARTICLES.sub(" ", text))
