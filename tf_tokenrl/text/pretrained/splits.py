r"""Where byte-pair tokenizers cut text before they merge, by name.

Each original is one regular expression with a look-ahead, `\s+(?!\S)`: a run
of white space before a word leaves its last character to the word. RE2, which
TensorFlow runs, has no look-ahead. A pass that first cuts in front of this
last character makes it needless: white space that ends a cut piece may then be
taken whole. What follows the cut is matched in the second pass.

Source: the tokenizer files of GPT-2, Llama 3, Qwen 2 and SmolLM 2.
"""

import re

from tf_tokenrl.errors import TokenRLError, unknown

# RE2's \s is ASCII without \v; the originals' is Unicode's White_Space.
SPACE = (
    r"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
# The same without the line ends \r and \n.
_LEVEL = (
    r"\t\v\f \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}"
    r"\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
)
_DIGIT = r"\p{N}"
_GPT2 = (
    rf"[{SPACE}]?[^{SPACE}]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+"
    rf"| ?[^{SPACE}\p{{L}}\p{{N}}]+|[{SPACE}]+",
)


def _tiktoken(digits: str) -> tuple[str, ...]:
    """Llama 3's kind: line ends stay with what stands before them."""
    return (
        # White space up to its last line end is never left to a word.
        rf"[{_LEVEL}]?[^{SPACE}]+(?:[{SPACE}]*[\r\n]+)?",
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
        rf"|{digits}| ?[^{SPACE}\p{{L}}\p{{N}}]+[\r\n]*"
        rf"|[{SPACE}]*[\r\n]+|[{SPACE}]+",
    )


_BY_KIND = {
    "gpt2": _GPT2,
    "smollm": (_DIGIT, *_GPT2),
    "llama3": _tiktoken(r"\p{N}{1,3}"),
    "qwen2": _tiktoken(r"\p{N}"),
}
# Names in GGUF files (`tokenizer.ggml.pre`), as llama.cpp groups them.
_KINDS = {
    "gpt2": ("gpt2", "gpt-2", "mpt", "olmo", "jais", "phi-2"),
    "smollm": ("smollm", "starcoder", "refact", "command-r", "codeshell"),
    "llama3": ("llama3", "llama-bpe", "llama-v3", "dbrx", "smaug-bpe"),
    "qwen2": ("qwen2", "deepseek-r1-qwen", "stablelm2"),
}
NAMES = {name: kind for kind, names in _KINDS.items() for name in names}
_TIKTOKEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# The originals, as they stand in a tokenizer.json.
ORIGINALS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"
    r"|\s+(?!\S)|\s+",
    "llama3": _TIKTOKEN.replace("DIGITS", r"\p{N}{1,3}"),
    "qwen2": _TIKTOKEN.replace("DIGITS", r"\p{N}"),
}


def passes(kind: str) -> tuple[str, ...]:
    """RE2 expressions; each cuts what the ones before it left whole."""
    return _BY_KIND[kind]


def of_name(name: str) -> str:
    """The kind that a GGUF file's pre-tokenizer name means.

    Raises:
        TokenRLError: it is unknown here; a guess would give other ids.
    """
    if name not in NAMES:
        raise unknown("pre-tokenizer", name, sorted(NAMES))
    return NAMES[name]


def of_json(pre_tokenizer: dict | None) -> str:
    """The kind that a `tokenizer.json`'s `pre_tokenizer` means.

    Raises:
        TokenRLError: it cuts text in a way that is unknown here.
    """
    given = pre_tokenizer or {}
    steps = given.get("pretokenizers", [given])
    kinds = [_step(step) for step in steps]
    found = [kind for kind in kinds if kind]
    if found == ["digits", "gpt2"]:
        return "smollm"
    if len(found) == 1 and found[0] in _BY_KIND:
        return found[0]
    raise TokenRLError(
        f"The tokenizer cuts text by {_named(steps)}, which is not known "
        f"here: known are {', '.join(_BY_KIND)}."
    )


DECODER = {
    "type": "ByteLevel",
    "add_prefix_space": True,
    "trim_offsets": True,
    "use_regex": True,
}


def as_json(kind: str) -> dict:
    """The `pre_tokenizer` of a `tokenizer.json` that means a kind."""
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": kind in ("gpt2", "smollm"),
    }
    if kind == "gpt2":
        return level
    if kind == "smollm":
        first = {"type": "Digits", "individual_digits": True}
    else:
        pattern = {"Regex": ORIGINALS[kind]}
        first = {"type": "Split", "pattern": pattern, "invert": False}
        first["behavior"] = "Isolated"
    return {"type": "Sequence", "pretokenizers": [first, level]}


def _step(step: dict) -> str:
    """The kind of one step; "" where it cuts nothing."""
    kind = step.get("type")
    if kind == "ByteLevel":
        return "gpt2" if step.get("use_regex", True) else ""
    if kind == "Digits" and step.get("individual_digits"):
        return "digits"
    if kind == "Split" and step.get("behavior") == "Isolated":
        pattern = step["pattern"].get("Regex", "")
        for name, original in ORIGINALS.items():
            if pattern == original and not step.get("invert"):
                return name
    return "unknown"


def _named(steps: list[dict]) -> str:
    texts = (str(s.get("pattern") or s.get("type")) for s in steps)
    return re.sub(r"\s+", " ", " and ".join(texts))[:120]
