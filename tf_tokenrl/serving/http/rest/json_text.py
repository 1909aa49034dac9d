"""JSON as RapidJSON reads it, which the real server uses.

NaN and Infinity are numbers, what follows the document is ignored, a million
levels are read, and bytes that are not UTF-8 pass through strings unchanged (as
Python's `surrogateescape`). Of a name that occurs twice the first counts.
"""

import json
import math
import re
from typing import Any, NoReturn

from tf_tokenrl.serving.status import invalid

_SPACE = re.compile(rb"[ \t\r\n]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)")
_DIGITS = re.compile(rb"[0-9]*")
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPED = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
_WORDS = {
    b"true": True,
    b"false": False,
    b"null": None,
    b"NaN": math.nan,
    b"-NaN": math.nan,
    b"Infinity": math.inf,
    b"-Infinity": -math.inf,
    b"Inf": math.inf,
    b"-Inf": -math.inf,
}
_PAIR = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_DEEPEST = 1_000_000  # containers in one another
_OPENED = object()  # where a value would stand, more values are to come
_LONGEST = 256  # bytes of a value that an error shows


def parse(body: bytes) -> dict[str, Any]:
    """The object that a request's body holds.

    Raises:
        StatusError: the text and the offset that RapidJSON reports, or that
            the document is no object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    document = _quickly(body)
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def shown(value: Any) -> str:
    """A value on one line for an error's text, cut when it is long."""
    text = ""
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        text += piece
        data = text.encode(errors="surrogateescape")
        if len(data) > _LONGEST:
            cut = data[: _LONGEST - 3].decode(errors="surrogateescape")
            return f"{cut}..."
    return text


def _quickly(body: bytes) -> Any:
    """Python's decoder; what it refuses, the slow reader judges."""
    if b"\\u" not in body or not _SURROGATE.search(_PAIR.sub(b"", body)):
        text = body.decode(errors="surrogateescape")
        start = len(text) - len(text.lstrip(" \t\r\n"))
        try:
            return _DECODER.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            pass
    return _Reader(body).read()


def _whole(text: str) -> int | float:
    """An integer of 64 bits, or else a double, as RapidJSON keeps it."""
    if len(text) < 19 or -(2**63) <= int(text) < 2**64:
        return int(text)
    return _double(text)


def _double(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else dict(reversed(pairs))


_DECODER = json.JSONDecoder(
    object_pairs_hook=_first_wins, parse_int=_whole, parse_float=_double
)


class _Reader:
    """Reads without recursion, and knows where it stands."""

    def __init__(self, body: bytes):
        self._body = body
        self._at = 3 if body.startswith(b"\xef\xbb\xbf") else 0
        self._open: list[list | dict] = []
        self._names: list[str] = []  # of the members being read

    def read(self) -> Any:
        """The first value of the text."""
        if not self._peek():
            self._fail("The document is empty.")
        while True:
            value = self._value()
            while value is not _OPENED:
                if not self._open:
                    return value
                value = self._close(value)

    def _value(self) -> Any:
        """A scalar, an empty container, or the mark of an opened one."""
        kind = self._peek()
        if kind == b"[":
            self._at += 1
            if self._take(b"]"):
                return []
            self._open.append([])
            return self._opened()
        if kind == b"{":
            self._at += 1
            if self._take(b"}"):
                return {}
            self._open.append({})
            self._name()
            return self._opened()
        if kind == b'"':
            return self._string()
        if kind in b"-0123456789" and kind:
            return self._number()
        return self._word()

    def _opened(self) -> Any:
        if len(self._open) > _DEEPEST:
            self._fail("Terminate parsing due to Handler error.")
        return _OPENED

    def _close(self, value: Any) -> Any:
        """Put a value where it belongs; the container when that ends it."""
        inner = self._open[-1]
        if isinstance(inner, dict):
            inner.setdefault(self._names.pop(), value)
            if self._take(b","):
                self._name()
                return _OPENED
            if not self._take(b"}"):
                self._fail("Missing a comma or '}' after an object member.")
        else:
            inner.append(value)
            if self._take(b","):
                return _OPENED
            if not self._take(b"]"):
                self._fail("Missing a comma or ']' after an array element.")
        return self._open.pop()

    def _name(self) -> None:
        if self._peek() != b'"':
            self._fail("Missing a name for object member.")
        self._names.append(self._string())
        if not self._take(b":"):
            self._fail("Missing a colon after a name of object member.")

    def _string(self) -> str:
        self._at += 1
        parts = []
        while True:
            parts.append(self._match(_PLAIN))
            kind = self._body[self._at : self._at + 1]
            if kind == b'"':
                self._at += 1
                return b"".join(parts).decode(errors="surrogateescape")
            if kind != b"\\":
                self._fail(
                    "Invalid escape character in string."
                    if kind.strip(b"\0")
                    else "Missing a closing quotation mark in string."
                )
            parts.append(self._escape())

    def _escape(self) -> bytes:
        start, kind = self._at, self._body[self._at + 1 : self._at + 2]
        self._at += 2
        if kind == b"u":
            code = self._hex(start)
            if 0xD800 <= code < 0xDC00:
                pair = self._body[self._at : self._at + 2] == b"\\u"
                self._at += 2
                low = self._hex(start) if pair else 0
                if not 0xDC00 <= low < 0xE000:
                    self._fail(
                        "The surrogate pair in string is invalid.", start
                    )
                code = ((code - 0xD800) << 10 | (low - 0xDC00)) + 0x10000
            return chr(code).encode(errors="surrogatepass")
        if not kind or kind[0] not in _ESCAPED:
            self._fail("Invalid escape character in string.", start)
        return bytes([_ESCAPED[kind[0]]])

    def _hex(self, start: int) -> int:
        digits = _HEX.match(self._body, self._at)
        if digits is None:
            self._fail("Incorrect hex digit after \\u escape in string.", start)
        self._at += 4
        return int(digits[0], 16)

    def _number(self) -> int | float:
        start = self._at
        whole = _NUMBER.match(self._body, start)
        if whole is None:
            return self._word()
        self._at, fraction = whole.end(), False
        if self._body[self._at : self._at + 1] == b".":
            fraction, self._at = True, self._at + 1
            if not self._match(_DIGITS):
                self._fail("Miss fraction part in number.")
        if self._body[self._at : self._at + 1] in (b"e", b"E"):
            fraction, self._at = True, self._at + 1
            if self._body[self._at : self._at + 1] in (b"+", b"-"):
                self._at += 1
            if not self._match(_DIGITS):
                self._fail("Miss exponent in number.")
        text = self._body[start : self._at].decode()
        try:
            return _double(text) if fraction else _whole(text)
        except ValueError:
            self._fail("Number too big to be stored in double.", start)

    def _word(self) -> Any:
        for word, value in _WORDS.items():
            if self._body.startswith(word, self._at):
                self._at += len(word)
                return value
        self._at += max(map(self._shared, _WORDS))
        self._fail("Invalid value.")

    def _shared(self, word: bytes) -> int:
        """How many bytes of a word stand here."""
        found = self._body[self._at : self._at + len(word)]
        pairs = zip(word, found, strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a != b), len(found))

    def _match(self, pattern: re.Pattern[bytes]) -> bytes:
        match = pattern.match(self._body, self._at)
        assert match is not None  # each of the patterns may be empty
        self._at = match.end()
        return match[0]

    def _peek(self) -> bytes:
        """The byte after white space; none where the text ends."""
        byte = self._body[self._at : self._at + 1]
        if byte not in b" \t\r\n\0":
            return byte
        self._match(_SPACE)
        return self._body[self._at : self._at + 1].strip(b"\0")

    def _take(self, byte: bytes) -> bool:
        found = self._peek() == byte
        self._at += found
        return found

    def _fail(self, reason: str, offset: int | None = None) -> NoReturn:
        offset = self._at if offset is None else offset
        raise invalid(f"JSON Parse error: {reason} at offset: {offset}")
