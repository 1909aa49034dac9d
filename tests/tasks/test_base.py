"""What all tasks have in common, and what a task of one's own needs."""

import ast
import importlib
import json

import pytest

from tests.support import tiny
from tf_tokenrl import catalog, files, rewards, tasks
from tf_tokenrl.datasets import prepared
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example
from tf_tokenrl.tasks import CLASSIFIES, TAGS, WRITES, LabelTask, Task

NAMES = catalog.names(tasks)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def prepare(folder, task):
    prepared.write_prepared(
        folder,
        {"train": [Example("a b", ("O O",), "k")]},
        b"tokenizer",
        {},
        {"task": task},
    )
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_each_task_says_how_it_is_measured_and_rewarded(name):
    task = catalog.find(tasks, name)
    assert task.metrics and task.kind in (WRITES, TAGS, CLASSIFIES)
    for expression in (*task.metrics.values(), task.reward):
        assert rewards.parse(expression)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"feedback"}))
def test_the_row_at_the_top_of_each_file_is_one_that_it_reads(name, tmp_path):
    page = importlib.import_module(f"tf_tokenrl.tasks.{name}").__doc__
    row = ast.literal_eval(page[page.index("{") : page.rindex("}") + 1])
    made = tasks.get(name, data=write(tmp_path / "rows.jsonl", [row]))
    example = made.example(row, "k")
    assert example.prompt and example.reference


def test_a_task_of_ones_own_is_a_few_attributes(tmp_path):
    class Translation(Task):
        template = "Translate {source} into {language}:"
        sources = ("english",)
        targets = ("german", "french")

    rows = [
        {"english": "cat", "german": "Katze", "language": "German"},
        {"source": ["the", "cat"], "french": ["le chat"], "language": "French"},
    ]
    task = Translation(write(tmp_path / "rows.jsonl", rows))
    assert [task.example(row, "k") for row in rows] == [
        Example(
            "Translate cat into German:",
            ("Katze",),
            "k",
            {"english": "cat", "language": "German"},
        ),
        Example(
            "Translate the cat into French:",
            ("le chat",),
            "k",
            {"source": ["the", "cat"], "language": "French"},
        ),
    ]
    other = Translation("rows.jsonl", template="{source}; {language}?")
    assert other.prompt(rows[0]) == "cat; German?"


def test_prepared_rows_hold_finished_prompts(tmp_path):
    class Question(Task):
        template = "Q: {source}"

    folder = tmp_path / "data"
    assert Question(str(folder)).prompt({"source": "why?"}) == "Q: why?"
    prepare(folder, "headline")
    assert Question(str(folder)).prompt({"source": "Q: why?"}) == "Q: why?"


def test_mistakes_name_the_line(tmp_path):
    rows = [{"source": f"a {i}", "target": "b"} for i in range(50)]
    path = write(tmp_path / "rows.jsonl", [*rows, {"source": "a"}])
    task = tasks.get("headline", data=path)
    with pytest.raises(
        TokenRLError, match=r'rows.jsonl", line 51 has no field'
    ):
        [task.examples(split) for split in ("train", "validation", "test")]


def test_the_task_is_the_one_that_prepare_recorded(tmp_path):
    folder = prepare(tmp_path / "data", "ner")
    assert tasks.of(folder).kind == TAGS
    assert tasks.name_for(folder) == "ner"
    assert tasks.of(folder, "ner").kind == TAGS
    for other in ("headline", "classification"):
        with pytest.raises(TokenRLError, match='prepared for the task "ner"'):
            tasks.of(folder, other)
    assert tasks.of(tmp_path / "rows.jsonl").kind == WRITES
    files.write_json(tmp_path / "options.json", {"command": "train"})
    assert tasks.name_for(tmp_path) == "headline"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["writes", "tags", "classifies"])
def test_a_policy_of_another_kind_is_refused(name, kind):
    if kind == "writes":
        made = tiny.shared_policy("gru")
    else:
        unit = {"tags": "word", "classifies": "text"}[kind]
        made = tiny.shared_label_policy(unit=unit)
    assert made.kind == kind
    task = tasks.get(name, data="rows.jsonl")
    if made.kind == task.kind.name:
        task.check(made)
        return
    with pytest.raises(TokenRLError, match=f'the task "{name}" needs one that'):
        task.check(made)


def test_a_unit_is_a_word_or_a_text():
    with pytest.raises(TokenRLError, match='Unknown unit of labels "letter"'):

        class Letters(LabelTask):
            unit = "letter"
