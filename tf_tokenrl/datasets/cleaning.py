"""Texts made fit to learn from: pure functions of one text."""

import functools
import re
from collections.abc import Callable

import sentencepiece

from tf_tokenrl.datasets.stop_words import STOP_WORDS

_RULER = re.compile(r"([^\w\s])\1{3,}")
_NOT_A_WORD = re.compile(r"[^\w\s]|_")


@functools.cache
def _normaliser():
    return sentencepiece.SentencePieceNormalizer(
        rule_name="nmt_nfkc",
        add_dummy_prefix=False,
        escape_whitespaces=False,
        remove_extra_whitespaces=True,
    )


def clean(text: str) -> str:
    """Unicode NFKC; no control characters; one space between words.

    The rule is the one that tokenizers of `text.tokenizer` carry into the
    graph. Rulers, four or more of one mark in a row, are dropped. A lone
    surrogate is as good as a space.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _RULER.sub(" ", text.replace("\0", ""))
    return _normaliser().normalize(text)


def without_punctuation(text: str) -> str:
    """Only letters, digits and white space."""
    return " ".join(_NOT_A_WORD.sub(" ", text).split())


def without_stop_words(text: str) -> str:
    """The words of a text that are no English stop words."""
    return " ".join(
        word
        for word in text.split()
        if _NOT_A_WORD.sub("", word).lower() not in STOP_WORDS
    )


def steps(
    lowercase: bool, remove_punctuation: bool, remove_stop_words: bool
) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """What to do with a prompt and what to do with an answer.

    Both are cleaned and put in lower case if wanted; punctuation and stop
    words are removed from prompts only, for an answer is to be read.
    """

    def answer(text: str) -> str:
        return clean(text).lower() if lowercase else clean(text)

    def prompt(text: str) -> str:
        text = answer(text)
        if remove_punctuation:
            text = without_punctuation(text)
        return without_stop_words(text) if remove_stop_words else text

    return prompt, answer


def truncate(processor, text: str, limit: int) -> str:
    """The beginning of a text that has at most `limit` tokens, its own.

    A text that fits is returned as it is. Otherwise the cut is where a token
    ends, the text before it is normalised, and encoding it anew gives at most
    `limit` tokens.
    """
    ids = whole = processor.encode(text)
    length = limit
    while len(ids) > limit:
        text = processor.decode(whole[:length]).rstrip("\ufffd ")
        length -= 1
        ids = processor.encode(text)
    return text
