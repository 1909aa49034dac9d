"""Words of any script: what metrics count and compare.

Where a script writes no spaces between words, each character is a word.
"""

import unicodedata

import regex

_SPACELESS = "".join(
    rf"\p{{Script={script}}}"
    for script in (
        *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi"),
        *("Thai", "Lao", "Khmer", "Myanmar", "Tibetan"),
    )
)
_SPACELESS += "\u30fc\uff70"  # the Japanese mark of a long vowel
# \X is a character as people see it: a letter with its marks, a flag.
_CHARACTER = rf"(?=[[{_SPACELESS}]&&[\p{{L}}\p{{N}}]])\X"
_PICTURE = r"(?=[\p{So}\p{Extended_Pictographic}\p{Regional_Indicator}])\X"
# Vowel signs are marks (\p{M}); the two joiners shape letters inside a word.
_RUN = rf"[[\p{{L}}\p{{N}}]--[{_SPACELESS}]]"
_INSIDE = rf"[[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d]--[{_SPACELESS}]]"
_WORD = regex.compile(rf"(?V1){_CHARACTER}|{_RUN}{_INSIDE}*|{_PICTURE}")
_PIECE = regex.compile(rf"(?V1){_CHARACTER}|(?:(?!{_CHARACTER})(?s:.))+")


def words(text: str) -> list[str]:
    """The words of a text without letter case, punctuation and operators.

    A word is a run of letters, digits and their marks, a character of a
    script without spaces, or a pictograph such as an emoji. For ASCII these
    are the words of the package rouge-score. One letter written in two ways
    (Unicode NFC) is one letter.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def pieces(text: str) -> list[str]:
    """What stands between white space, as it is written.

    Characters of scripts without spaces stand alone; punctuation belongs to
    the piece that it touches.
    """
    return [p for run in text.split() for p in _PIECE.findall(run)]
