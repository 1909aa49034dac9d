"""From the rows of a task to the rows of a run: what is dropped, and why."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from tf_tokenrl.datasets.splits import normal_form
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.text.tokenizer import truncate
from tf_tokenrl.text.words import pieces

ROWS_IN, ROWS_OUT = "rows in", "rows out"
EMPTY = "dropped: empty"
UNANSWERED = "dropped: no answer"
SHORT = "dropped: answer too short"
REPEATED = "dropped: repeated"
LEAKED = "dropped: prompt of an earlier split"
LONG = "dropped: answer too long"
LONG_PROMPT = "dropped: prompt too long"
TRUNCATED = "prompts cut"
FATES = (
    *(ROWS_IN, EMPTY, UNANSWERED, SHORT, REPEATED, LEAKED),
    *(LONG, LONG_PROMPT, ROWS_OUT, TRUNCATED),
)
_MOST_CHARACTERS = 16  # of a SentencePiece token, unless trained otherwise
_USUAL_CHARACTERS = 5
_MANY = 0.1  # of a split; more is said


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
    """The example with its texts rewritten; empty references fall away.

    Where all were empty, one stays, so that `screen` drops the row: it is not
    a prompt that has none.
    """
    rewritten = map(answer, example.references)
    references = tuple(text for text in rewritten if text.strip())
    if example.references and not references:
        references = ("",)
    return example._replace(
        prompt=prompt(example.prompt), references=references
    )


def screen(
    examples: Iterable[Example],
    earlier: set[str],
    min_answer_words: int = 1,
    deduplicate: bool = True,
) -> Screened:
    """Drop rows that are empty, too short, repeated or seen before.

    Rows without any answer stay where no row has one: prompts alone are
    enough for reinforcement.

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
    examples = list(examples)
    answered = any(example.references for example in examples)
    for example in examples:
        prompt = normal_form(example.prompt)
        pair = (prompt, normal_form(example.reference))
        if not example.prompt.strip() or example.references == ("",):
            counts[EMPTY] += 1
        elif answered and not example.references:
            counts[UNANSWERED] += 1
        elif answered and len(pieces(example.reference)) < min_answer_words:
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


def shorten(
    examples: list[Example], max_prompt_tokens: int, keep: str = "start"
) -> list[Example]:
    """Cut off what no prompt of that many tokens can reach, to save time."""
    longest = max_prompt_tokens * _MOST_CHARACTERS
    if keep == "end":
        return [e._replace(prompt=e.prompt[-longest:]) for e in examples]
    return [e._replace(prompt=e.prompt[:longest]) for e in examples]


def corpus(
    examples: list[Example], max_prompt_tokens: int, keep: str = "start"
) -> list[str]:
    """Texts a tokenizer is trained on: what a policy will read and write."""
    longest = max_prompt_tokens * _USUAL_CHARACTERS
    part = slice(longest) if keep == "start" else slice(-longest, None)
    return [text for e in examples for text in (e.prompt[part], *e.references)]


def fit(
    examples: list[Example],
    processor,
    max_prompt_tokens: int,
    max_answer_tokens: int,
    keep: str = "start",
) -> Screened:
    """Cut prompts to their limit and drop answers over theirs.

    Args:
        examples: cleaned rows.
        processor: a `sentencepiece.SentencePieceProcessor`.
        max_prompt_tokens: tokens of a prompt, without any special token.
        max_answer_tokens: tokens of the preferred reference, likewise.
        keep: which end of a prompt stays, "start" or "end".

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
        prompt = truncate(processor, example.prompt, max_prompt_tokens, keep)
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


_REMEDIES = {
    SHORT: "lower --min-answer-words",
    LONG: "raise --max-answer-tokens",
    LONG_PROMPT: "raise --max-prompt-tokens",
    TRUNCATED: "raise --max-prompt-tokens, or choose what stays by --keep",
    LEAKED: "look for texts that are in two of your files",
    REPEATED: "use --no-deduplicate if the repeats are meant",
    EMPTY: "look whether --source and --target name the right fields",
    UNANSWERED: "give these rows answers, or all rows none by --target ''",
}


def warnings(statistics: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line for each fate that more than a tenth of a split's rows met."""
    return [
        f"Warning: {count} of the {counts[ROWS_IN]} {split} rows "
        f"({count / counts[ROWS_IN]:.0%}): {fate}; {_REMEDIES[fate]}."
        for split, counts in statistics.items()
        for fate, count in counts.items()
        if fate in _REMEDIES and count > _MANY * counts[ROWS_IN]
    ]


def in_order(counts: Counter) -> dict[str, int]:
    """Every fate that befell a row, in the order of the steps."""
    return {fate: counts[fate] for fate in FATES if counts[fate]}
