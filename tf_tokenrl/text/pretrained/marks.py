"""Marks of control tokens in the bytes of a prompt.

A control token, such as `<|im_end|>`, ends a turn of a chat. Somebody who
types these characters must not end a turn, so a control token is written
between two bytes that no UTF-8 text contains:

    fe <|im_end|> fe        the control token
    <|im_end|>              ten characters of text

A prompt that begins with one of the two bytes is read this way and no other.
Any other prompt is read as the model's original tokenizer reads it, which
finds control tokens in the text itself.
"""

CONTROL = b"\xfe"  # on both sides of a control token's name
RENDERED = b"\xfd"  # first byte of a prompt that a chat template wrote


class Rendered(str):
    """A prompt that a chat template wrote; shows as the text it stands for.

    Args:
        parts: its pieces in order, each with whether it is a control token.

    Example:
        >>> prompt = Rendered([("<s>", True), ("a </s>", False)])
        >>> prompt, prompt.wire
        ('<s>a </s>', b'\\xfd\\xfe<s>\\xfea </s>')
    """

    wire: bytes  # what the graph is given

    def __new__(cls, parts: list[tuple[str, bool]]) -> "Rendered":
        prompt = super().__new__(cls, "".join(text for text, _ in parts))
        prompt.wire = RENDERED + b"".join(
            CONTROL + _bytes(text) + CONTROL if control else _bytes(text)
            for text, control in parts
        )
        return prompt

    def __getnewargs__(self):
        return ([(str(self), False)],)  # the wire follows with the attributes


def quoted(text: str) -> bytes:
    """`text` as bytes in which nothing is a control token."""
    return CONTROL + CONTROL + _bytes(text)  # an empty name: no token


def wire(prompt: str) -> bytes:
    """The bytes that the graph is given for a prompt."""
    return prompt.wire if isinstance(prompt, Rendered) else _bytes(prompt)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
