"""The commands, on a task of tags and on one of labels."""

import json
import random

import pytest
import tensorflow as tf

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines import evaluate, export, prepare, sft, train
from tf_tokenrl.policies.from_scratch import ModelOptions

pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")
WORDS = ["sun", "moon", "Mars", "Venus", "sky", "cloud", "rain", "wind"]
MODEL = ModelOptions("bert", layers=1, width=16, heads=2, letter_case=True)


def columns(folder):
    draw = random.Random(0)
    for name, size in (("train", 60), ("dev", 12), ("test", 12)):
        lines = []
        for _ in range(size):
            words = draw.choices(WORDS, k=draw.randint(2, 6))
            lines += [
                f"{w} x I-P" if w.istitle() else f"{w} x O" for w in words
            ]
            lines.append("")
        (folder / f"{name}.conll").write_text("\n".join(lines))
    return str(folder), {}


def texts(folder):
    draw = random.Random(0)
    rows = []
    for _ in range(120):
        words = draw.choices(WORDS, k=draw.randint(2, 6))
        label = "planet here" if any(map(str.istitle, words)) else "none"
        rows.append({"review": " ".join(words), "kind": label})
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path), {"source": "review", "target": "kind"}


@pytest.fixture(scope="module", params=["ner", "classification"])
def run(request, tmp_path_factory):
    """A task, its prepared data and a warm-started policy."""
    folder = tmp_path_factory.mktemp(request.param)
    source, fields = {"ner": columns, "classification": texts}[request.param](
        folder
    )
    data = prepare.main(
        prepare.PrepareOptions(
            task=request.param,
            data=source,
            out=folder / "data",
            vocabulary_size=300,
            max_prompt_tokens=32,
            **fields,
        )
    )
    policy = sft.main(
        sft.SftOptions(
            data=data,
            out=folder / "sft",
            model=MODEL,
            max_prompt_tokens=32,
            epochs=2,
            warmup=2,
        )
    )
    return request.param, data, policy


def test_prepared_rows_keep_their_labels(run):
    task, data, _ = run
    lines = (data / "train.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    found = {row["target"] for row in rows}
    if task == "classification":
        assert found == {"planet here", "none"}
    else:
        assert {tag for tags in found for tag in tags.split()} <= {
            *("B-P", "I-P", "O")
        }
        assert any("Mars" in row["source"] for row in rows)


def test_tables_follow_the_metrics(run, tmp_path, capsys):
    task, data, policy = run
    found = evaluate.main(
        evaluate.EvaluateOptions(policy, data, out=tmp_path / "results.json")
    )
    names = {
        "ner": ["token_accuracy", "entity_f1", "labels", "entities"],
        "classification": ["accuracy", "labels"],
    }
    assert list(found) == names[task]
    assert json.loads((tmp_path / "results.json").read_text()) == found
    printed = capsys.readouterr().out
    assert "precision    recall        f1   support" in printed
    assert "macro" in printed and "micro" in printed


def test_the_task_is_recorded_and_others_are_refused(run, tmp_path):
    task, data, policy = run
    options = json.loads((policy.parent / "options.json").read_text())
    assert options["task"] == task
    with pytest.raises(TokenRLError, match=f'prepared for the task "{task}"'):
        evaluate.main(evaluate.EvaluateOptions(policy, data, "headline"))
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(f'{{"source": "a {i}", "target": "b"}}\n' for i in range(90))
    )
    for command, made in (
        (train.main, train.TrainOptions(policy, rows, out=tmp_path / "rl")),
        (evaluate.main, evaluate.EvaluateOptions(policy, rows, split="train")),
    ):
        with pytest.raises(TokenRLError, match='the task "headline" needs one'):
            command(made)
    assert not (tmp_path / "rl").exists()


@pytest.mark.slow
def test_reinforcement_goes_on_from_there(run, tmp_path):
    task, data, policy = run
    reward = {
        "ner": "token_accuracy(rate=False) - 0.1 * kl",
        "classification": "exact_match(normalize=False)",
    }[task]
    trained = train.main(
        train.TrainOptions(
            policy,
            data,
            task,
            tmp_path / "rl",
            reward,
            algorithm="reinforce(discount=0.0)",
            steps=2,
            batch_size=8,
            sample_answers=2,
        )
    )
    samples = json.loads((tmp_path / "rl" / "samples.json").read_text())
    assert len(samples) == 2 and samples[0]["tokens"]
    path = export.main(export.ExportOptions(trained, tmp_path / "served"))
    name = {"ner": "tag", "classification": "classify"}[task]
    signature = tf.saved_model.load(path).signatures[name]
    labels = signature(text=tf.constant(["Mars sun"]))["labels"].numpy()
    assert labels.shape == (1, 2 if task == "ner" else 1)


def test_only_encoders_label(run, tmp_path):
    task, data, _ = run
    with pytest.raises(TokenRLError, match='encoder "gpt2". Available: bert'):
        sft.main(sft.SftOptions(data=data, task=task, out=tmp_path))
