"""What is done to a prompt before it is read: in Python and in the graph.

`prepare` rewrites its rows so, and a policy that learned from them carries
the same steps, so that evaluation and serving read a prompt as training did.
"""

import dataclasses
import unicodedata
from dataclasses import dataclass

import regex

from tf_tokenrl.errors import unknown
from tf_tokenrl.text.stop_words import STOP_WORDS

CLEANING = ("text", "nfkc", "none")
ENDS = ("start", "end")

# Written for `regex` and for RE2 in the graph alike. White space of Unicode
# by its numbers, for RE2's \s knows ASCII only; U+FFFD stands for what was
# not text.
_SPACE = (
    r"[\t-\r\x1c-\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}"
    r"\x{202F}\x{205F}\x{3000}\x{FFFD}]+"
)
_CONTROL = r"[\x00-\x08\x0e-\x1b\x7f-\x{84}\x{86}-\x{9F}\x{FEFF}]"
_RULER = r"-{4,}|={4,}|\*{4,}|~{4,}|\^{4,}"
_PUNCTUATION = r"\p{P}"


@dataclass(frozen=True)
class Preparation:
    """The steps, in this order.

    Attributes:
        cleaning: "text" keeps every character that means something: Unicode
            NFC, no control characters, one space between words, no rulers
            (a word of four or more of - = * ~ ^). "nfkc" writes compatible
            characters alike too (x² as x2, full width as half width). "none"
            changes nothing, line breaks included, but drops NUL.
        lowercase: write in lower case.
        remove_punctuation: a space for each punctuation mark; symbols such
            as + and emoji stay.
        remove_stop_words: leave English function words out.
        keep: which end of a prompt stays where it is too long, "start" or
            "end", the newest turn of a dialogue.
    """

    cleaning: str = "text"
    lowercase: bool = False
    remove_punctuation: bool = False
    remove_stop_words: bool = False
    keep: str = "start"

    def __post_init__(self):
        if self.cleaning not in CLEANING:
            raise unknown("cleaning", self.cleaning, CLEANING)
        if self.keep not in ENDS:
            raise unknown("end to keep", self.keep, ENDS)

    def get_config(self) -> dict:
        """The attributes, fit for JSON."""
        return dataclasses.asdict(self)

    def prompt(self, text: str) -> str:
        """A prompt with all steps taken."""
        text = self.answer(text)
        if self.remove_punctuation:
            text = _joined(regex.sub(_PY_PUNCTUATION, " ", text).split(" "))
        if self.remove_stop_words:
            words = text.split(" ")
            text = _joined(w for w in words if _core(w) not in STOP_WORDS)
        return text

    def answer(self, text: str) -> str:
        """An answer: cleaned, and in lower case if wanted."""
        text = text.encode("utf-16", "surrogatepass").decode(
            "utf-16", "replace"
        )
        text = text.replace("\0", "")
        if self.cleaning != "none":
            if self.cleaning == "nfkc":
                text = unicodedata.normalize("NFKC", text)
            text = unicodedata.normalize("NFC", text)
            text = regex.sub(_PY_CONTROL, "", text)
            words = regex.sub(_PY_SPACE, " ", text).split(" ")
            text = _joined(w for w in words if not _PY_RULER.fullmatch(w))
        return text.lower() if self.lowercase else text

    def graph(self, prompts):
        """`prompt` of each string of a tensor `[B]`, as TensorFlow ops."""
        import tensorflow as tf  # preparing data needs no TensorFlow
        import tensorflow_text as tf_text

        replace = tf.strings.regex_replace
        text = replace(prompts, r"\x00", "")
        if self.cleaning != "none":
            form = "NFKC" if self.cleaning == "nfkc" else "NFC"
            text = tf_text.normalize_utf8(text, form)
            text = replace(replace(text, _CONTROL, ""), _SPACE, " ")
            text = _kept(
                text, lambda w: ~tf.strings.regex_full_match(w, _RULER)
            )
        if self.lowercase:
            text = tf.strings.lower(text, encoding="utf-8")
        if self.remove_punctuation:
            text = replace(text, _PUNCTUATION, " ")
            text = _kept(text, lambda words: words != "")
        if self.remove_stop_words:
            stop = tf.constant(sorted(STOP_WORDS))

            def is_kept(words):
                core = replace(words, _PUNCTUATION, "")
                core = tf.strings.lower(core, encoding="utf-8")
                return tf.reduce_all(core[:, None] != stop, axis=-1)

            text = _kept(text, is_kept)
        return text


def _kept(text, is_kept):
    """The words between spaces that are kept, one space between them."""
    import tensorflow as tf

    words = tf.strings.split(text, " ")
    kept = is_kept(words.flat_values) & (words.flat_values != "")
    kept = words.with_flat_values(kept)
    return tf.strings.reduce_join(
        tf.ragged.boolean_mask(words, kept), axis=-1, separator=" "
    )


def _joined(words) -> str:
    return " ".join(filter(None, words))


def _core(word: str) -> str:
    return regex.sub(_PY_PUNCTUATION, "", word).lower()


def _python(pattern: str) -> regex.Pattern:
    """A pattern of RE2 for `regex`, which writes long numbers otherwise."""
    written = regex.sub(
        r"\\x\{(\w+)\}", lambda m: f"\\u{int(m[1], 16):04x}", pattern
    )
    return regex.compile(written)


_PY_SPACE, _PY_CONTROL = _python(_SPACE), _python(_CONTROL)
_PY_RULER, _PY_PUNCTUATION = _python(_RULER), _python(_PUNCTUATION)
