"""`python -m benchmarks.feedback`: rows per second of the feedback store."""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from tf_tokenrl.feedback import Answer, FeedbackStore, Judgement


@dataclass(frozen=True)
class Options:
    """Appends answers and judgements in batches, and reads them back.

    Attributes:
        store: its URL; a SQLite file that is thrown away by default.
        answers: how many, each with one judgement.
        tokens: of each answer.
        batch: answers of one append.
        json: print one line of JSON.
    """

    store: str = ""
    answers: int = 100_000
    tokens: int = 50
    batch: int = 500
    json: bool = False


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Measure, print, and return the figures."""
    options = tyro.cli(Options, args=arguments)
    with tempfile.TemporaryDirectory() as folder:
        url = options.store or f"sqlite:///{folder}/feedback.db"
        with FeedbackStore(url) as store:
            figures = measure(store, options)
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:32} {figure:12,.0f}")
    return figures


def measure(store: FeedbackStore, options: Options) -> dict[str, float]:
    """Rows per second of each way."""
    made = [
        _answer(number, options.tokens) for number in range(options.answers)
    ]
    said = [Judgement(answer=a.key, kind="thumb", score=1) for a in made]
    count, batch = options.answers, options.batch
    marks = [time.perf_counter()]
    for records in (made, said):
        for begin in range(0, count, batch):
            store.append(records[begin : begin + batch])
        marks.append(time.perf_counter())
    found = sum(1 for _ in store.answers())
    marks.append(time.perf_counter())
    judged = sum(1 for _ in store.read())
    marks.append(time.perf_counter())
    assert (found, judged) == (count, count)
    names = ("append_answers", "append_judgements", "read_answers", "read")
    return {
        f"{name}_per_second": count / (end - begin)
        for name, begin, end in zip(names, marks, marks[1:], strict=False)
    }


def _answer(number: int, tokens: int) -> Answer:
    return Answer(
        model="headline",
        version=1,
        prompt=f"def area_{number}(width, height): " + "word " * 30,
        text="an answer of some words " * (tokens // 5),
        token_ids=tuple(range(number, number + tokens)),
        log_probs=tuple(-0.1 * place for place in range(tokens)),
        ends=tuple(range(tokens)),
        seed=number,
    )


if __name__ == "__main__":
    main()
