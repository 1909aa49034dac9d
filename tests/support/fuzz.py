"""Texts that tokenizers stumble over: scripts, white space, marks, emoji."""

import random
import sys

PARTS = (
    [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", "\r", "\v", "\f"]
    + ["\u00a0", "\u2009", "\u202f", "\u3000", "\u2028", "\x85", "\u200b"]
    + ["a", "b", "The", "don't", "we'Ll", "it'\u017f", "naive", "HELLO", "end"]
    + [
        "1",
        "23",
        "4567",
        "\u096c",
        "\u0661\u0662",
        "\u00bd",
        "\u2167",
        "\u00b2",
    ]
    + [
        "\u00e9",
        "e\u0301",
        "M\u00fcller",
        "\u0130",
        "\u00df",
        "\u01c5",
        "\ufb01",
    ]
    + ["\u65e5\u672c", "\u4e2d", "\ud55c\uad6d", "\u0939\u093f\u0928", "\u093c"]
    + [
        "\u03a3\u03bf\u03c2",
        "\u039f\u03a3",
        "\u041f\u0440\u0438",
        "\u05d0\u05b8",
    ]
    + ["\U0001f469\u200d\U0001f469", "\U0001f642", "\ufe0f", "\U0001d400"]
    + ["<|", "|>", "_", "-", "...", "\u2026", "'", '"', "$", "^", "`", "\u00ac"]
    + ["\x00", "\x1c", "\x7f", "\ufeff", "\ufffd", "\uffff", "\u0378", "\u2581"]
)


def texts(count: int, seed: int = 0, rare: bool = True) -> list[str]:
    """Random texts of these parts and, where `rare`, of any character."""
    draw = random.Random(seed)

    def part() -> str:
        if not rare or draw.random() < 0.9:
            return draw.choice(PARTS)
        code = draw.randrange(1, sys.maxunicode)
        return "?" if 0xD800 <= code < 0xE000 else chr(code)

    return [
        "".join(part() for _ in range(draw.randrange(14))) for _ in range(count)
    ]
