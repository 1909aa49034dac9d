"""From the rows of a task to the rows of a run: what is dropped, and why."""

import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tf_tokenrl.datasets.cleaning import truncate
from tf_tokenrl.datasets.splits import normal_form
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.text.words import pieces

ROWS_IN, ROWS_OUT = "rows in", "rows out"
EMPTY = "dropped: empty"
SHORT = "dropped: answer too short"
REPEATED = "dropped: repeated"
LEAKED = "dropped: prompt of an earlier split"
LONG = "dropped: answer too long"
LONG_PROMPT = "dropped: prompt too long"
TRUNCATED = "prompts cut"
FATES = (
    *(ROWS_IN, EMPTY, SHORT, REPEATED, LEAKED),
    *(LONG, LONG_PROMPT, ROWS_OUT, TRUNCATED),
)
_MOST_CHARACTERS = 16  # of a SentencePiece token, unless trained otherwise
_USUAL_CHARACTERS = 5


class Screened(NamedTuple):
    """Rows that stay, and how many met which fate."""

    examples: list[Example]
    counts: Counter


def sample(examples: list[Example], limit: int, seed: int) -> list[Example]:
    """At most `limit` rows, drawn at random, in their order; 0 means all.

    Raises:
        TokenRLError: a negative limit.
    """
    if limit < 0:
        raise TokenRLError(f"A limit of {limit} rows is negative; 0 means all.")
    if not limit or len(examples) <= limit:
        return examples
    chosen = random.Random(seed).sample(range(len(examples)), limit)
    return [examples[i] for i in sorted(chosen)]


def rewrite(
    example: Example,
    prompt: Callable[[str], str],
    answer: Callable[[str], str],
) -> Example:
    """The example with its texts rewritten; empty references fall away."""
    references = tuple(filter(None, map(answer, example.references)))
    return Example(prompt(example.prompt), references, example.key)


def screen(
    examples: Iterable[Example],
    earlier: set[str],
    min_answer_words: int = 1,
    deduplicate: bool = True,
) -> Screened:
    """Drop rows that are empty, too short, repeated or seen before.

    Args:
        examples: the rows of one split.
        earlier: normal forms of the prompts of earlier splits; those of the
            rows that stay are added.
        min_answer_words: fewest words of the preferred reference; a
            character is a word where a script has no spaces.
        deduplicate: drop rows whose prompt and answer repeat a row's.
    """
    kept: list[Example] = []
    counts: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for example in examples:
        prompt = normal_form(example.prompt)
        pair = (prompt, normal_form(example.reference))
        if not example.prompt or not example.reference:
            counts[EMPTY] += 1
        elif len(pieces(example.reference)) < min_answer_words:
            counts[SHORT] += 1
        elif prompt in earlier:
            counts[LEAKED] += 1
        elif deduplicate and pair in seen:
            counts[REPEATED] += 1
        else:
            kept.append(example)
            seen.add(pair)
    earlier.update(prompt for prompt, _ in seen)
    return Screened(kept, counts)


def shorten(examples: list[Example], max_prompt_tokens: int) -> list[Example]:
    """Cut off what no prompt of that many tokens can reach, to save time."""
    longest = max_prompt_tokens * _MOST_CHARACTERS
    return [e._replace(prompt=e.prompt[:longest]) for e in examples]


def corpus(examples: list[Example], max_prompt_tokens: int) -> list[str]:
    """Texts a tokenizer is trained on: what a policy will read and write."""
    longest = max_prompt_tokens * _USUAL_CHARACTERS
    return [
        text for e in examples for text in (e.prompt[:longest], *e.references)
    ]


def fit(
    examples: list[Example],
    processor,
    max_prompt_tokens: int,
    max_answer_tokens: int,
) -> Screened:
    """Cut prompts to their limit and drop answers over theirs.

    Args:
        examples: cleaned rows.
        processor: a `sentencepiece.SentencePieceProcessor`.
        max_prompt_tokens: tokens of a prompt, without any special token.
        max_answer_tokens: tokens of the preferred reference, likewise.

    Raises:
        TokenRLError: a limit leaves no room for a single token.
    """
    if min(max_prompt_tokens, max_answer_tokens) < 1:
        raise TokenRLError(
            "Prompts and answers need room for a token beside the special "
            "one: give each a limit of 2 tokens or more."
        )
    kept: list[Example] = []
    counts: Counter[str] = Counter()
    for example in examples:
        if len(processor.encode(example.reference)) > max_answer_tokens:
            counts[LONG] += 1
            continue
        prompt = truncate(processor, example.prompt, max_prompt_tokens)
        counts[TRUNCATED] += prompt != example.prompt
        kept.append(example._replace(prompt=prompt))
    return Screened(kept, counts)


def fit_words(
    examples: list[Example], processor, max_prompt_tokens: int
) -> Screened:
    """Drop prompts over their limit: one that is cut would lose its labels.

    Args:
        examples: rows whose prompts are words with a label each.
        processor: a `sentencepiece.SentencePieceProcessor`.
        max_prompt_tokens: tokens of a prompt, without any special token.
    """
    kept = []
    for example in examples:
        words = processor.encode(example.prompt.split())
        if sum(max(len(word), 1) for word in words) <= max_prompt_tokens:
            kept.append(example)
    dropped = len(examples) - len(kept)
    return Screened(kept, Counter({LONG_PROMPT: dropped}))


def require_rows(split: str, examples: list[Example], counts: Counter) -> None:
    """Say why a split is empty, where it is.

    Raises:
        TokenRLError: no row is left.
    """
    if not examples:
        fates = ", ".join(f"{fate}: {n}" for fate, n in counts.items() if n)
        raise TokenRLError(
            f"No row of the {split} split is left ({fates}); give more rows "
            "or relax the limits on answers."
        )


def in_order(counts: Counter) -> dict[str, int]:
    """Every fate that befell a row, in the order of the steps."""
    return {fate: counts[fate] for fate in FATES if counts[fate]}
