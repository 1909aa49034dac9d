"""Clean, screen and split a task's data and train a tokenizer on it."""

import sys
from pathlib import Path

from tf_tokenrl import __version__, tasks
from tf_tokenrl.datasets import prepared, readers, screening
from tf_tokenrl.datasets.splits import SPLITS
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.options.prepare import PrepareOptions
from tf_tokenrl.text.preparation import Preparation
from tf_tokenrl.text.tokenizer import load_processor, train_sentencepiece


def main(options: PrepareOptions) -> Path:
    """Writes the folder `options.out`, or keeps it where it is current.

    Raises:
        TokenRLError: the folder holds other data, which it would replace.
    """
    aside = ("out", "overwrite")
    record = {k: v for k, v in vars(options).items() if k not in aside}
    record["data_version"] = readers.version(options.data)
    record["tf_tokenrl_version"] = __version__
    task = _task(options)
    preparation = _preparation(options)
    if task.kind.cleans:
        record["preparation"] = preparation.get_config()
    if prepared.is_current(options.out, record):
        print(f'"{options.out}" holds this data already.')
        return options.out
    if options.out.exists() and not options.overwrite:
        raise TokenRLError(
            f'"{options.out}" holds data that was prepared with other options '
            "or from other rows: give another --out, or replace it by "
            "--overwrite."
        )
    splits, counts = {}, {}
    earlier: set[str] = set()
    for split in SPLITS:
        rows = task.examples(split)
        rows = screening.sample(rows, options.limit, options.seed)
        splits[split], counts[split] = screening.screen(
            _cleaned(options, task, rows, preparation),
            earlier,
            options.min_answer_words,
            options.deduplicate,
        )
        counts[split][screening.ROWS_IN] = len(rows)
        screening.require_rows(split, splits[split], counts[split])
    read = splits["train"]
    if task.kind.labels:
        read = [row._replace(references=()) for row in read]
    tokenizer = train_sentencepiece(
        screening.corpus(read, options.max_prompt_tokens, options.keep),
        options.vocabulary_size,
        keep_spaces=options.cleaning == "none",
    )
    processor = load_processor(tokenizer)
    earlier = set()  # prompts that differ may be equal once they are cut
    for split in SPLITS:
        fitted, cut = _fitted(options, task, splits[split], processor)
        splits[split], dropped = screening.screen(
            fitted, earlier, deduplicate=options.deduplicate
        )
        counts[split] += cut + dropped
        screening.require_rows(split, splits[split], counts[split])
        counts[split][screening.ROWS_OUT] = len(splits[split])
    statistics = {k: screening.in_order(v) for k, v in counts.items()}
    prepared.write_prepared(options.out, splits, tokenizer, statistics, record)
    _tell(task, statistics)
    print(f'Prepared data: "{options.out}".')
    return options.out


def _task(options: PrepareOptions) -> tasks.Task:
    return tasks.get(
        options.task,
        data=options.data,
        source=options.source,
        target=options.target,
        **_given(
            labels=options.labels,
            template=options.template,
            group=options.group,
        ),
    )


def _tell(task: tasks.Task, statistics: dict[str, dict[str, int]]) -> None:
    """Print how the data was read and which rows met which fate."""
    if remark := task.remark():
        print(remark)
    print(prepared.table(statistics))
    for warning in screening.warnings(statistics):
        print(warning, file=sys.stderr)


def _given(**options) -> dict:
    """What a task of the user's own need not take where it is not given."""
    return {name: value for name, value in options.items() if value}


def _preparation(options: PrepareOptions) -> Preparation:
    return Preparation(
        options.cleaning,
        options.lowercase,
        options.remove_punctuation,
        options.remove_stop_words,
        options.keep,
    )


def _cleaned(
    options: PrepareOptions,
    task: tasks.Task,
    rows: list[Example],
    preparation: Preparation,
) -> list[Example]:
    """Clean texts; words with a label each stay as they are."""
    if not task.kind.cleans:
        return rows
    steps = preparation.prompt, preparation.answer
    clean = [screening.rewrite(row, *steps) for row in rows]
    return screening.shorten(clean, options.max_prompt_tokens, options.keep)


def _fitted(
    options: PrepareOptions,
    task: tasks.Task,
    rows: list[Example],
    processor,
) -> screening.Screened:
    """Rows that a policy has room for; labels are never too long."""
    # The policy puts special tokens around a prompt and after an answer.
    room = options.max_prompt_tokens - (2 if task.kind.labels else 1)
    if not task.kind.cuts:
        return screening.fit_words(rows, processor, room)
    longest = sys.maxsize if task.kind.labels else options.max_answer_tokens - 1
    return screening.fit(rows, processor, room, longest, options.keep)
