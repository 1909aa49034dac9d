"""Options of `prepare`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tf_tokenrl.options.checking import Amount, Count, Options


@dataclass(frozen=True)
class PrepareOptions(Options):
    """Which data, and what becomes of it.

    Attributes:
        task: name of a task, or "module:Class"; built with the next three.
        data: "docstrings", "tfds:NAME", a .jsonl, .csv, .tsv, .parquet or
            .conll file, SOURCE.txt,TARGET.txt, or a folder of such files.
        source: field with the text that is given.
        target: field with the answer that is wanted; "" for prompts alone.
        group: field with what rows belong to, such as a dialogue or a
            document; a group stays in one split.
        labels: names of classes that the data give by number, 0 first.
        template: the prompt, with fields in braces, such as
            "Summarize: {source}"; "" takes the task's own.
        out: folder to write.
        vocabulary_size: tokens of the tokenizer.
        max_prompt_tokens: longer prompts are cut, or dropped where each
            word has a label; room is kept for special tokens.
        max_answer_tokens: rows with longer answers are dropped; one place is
            kept for the stop token.
        min_answer_words: rows with shorter answers are dropped.
        keep: the end of a prompt that stays where it is cut, "start" or
            "end", the newest turn of a dialogue.
        cleaning: "text" tidies white space, control characters and rulers;
            "nfkc" writes compatible characters alike too (x² as x2); "none"
            changes nothing and keeps line breaks.
        lowercase: write prompts and answers in lower case.
        remove_stop_words: take English stop words out of the prompts.
        remove_punctuation: take punctuation out of the prompts.
        deduplicate: drop rows that repeat a row of their split.
        limit: most rows of each split, drawn at random; 0: all.
        seed: of that draw.
        overwrite: replace other prepared data that is in `out`.
    """

    task: str = "headline"
    data: str = "docstrings"
    source: str = "source"
    target: str = "target"
    group: str = ""
    labels: tuple[str, ...] = ()
    template: str = ""
    out: Path = Path("runs/demo/data")
    vocabulary_size: Count = 4096
    max_prompt_tokens: Count = 96
    max_answer_tokens: Count = 24
    min_answer_words: Amount = 1
    keep: Literal["start", "end"] = "start"
    cleaning: Literal["text", "nfkc", "none"] = "text"
    lowercase: bool = False
    remove_stop_words: bool = False
    remove_punctuation: bool = False
    deduplicate: bool = True
    limit: Amount = 0
    seed: int = 0
    overwrite: bool = False
