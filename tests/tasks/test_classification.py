import json

import pytest

from tf_tokenrl import tasks
from tf_tokenrl.errors import TokenRLError


def task(folder, rows, **options):
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tasks.get("classification", data=str(folder), **options)


@pytest.mark.parametrize(
    "fields", [("source", "target"), ("text", "label"), ("sentence", "label")]
)
def test_texts_and_labels_are_read(tmp_path, fields):
    rows = [
        {fields[0]: f"text {i}", fields[1]: ["so so", 1][i % 2]}
        for i in range(60)
    ]
    made = task(tmp_path, rows)
    examples = made.examples("train")
    assert made.labels(examples) == ("1", "so so")
    assert all(e.prompt.startswith("text ") for e in examples)
    assert made.unit == "text"


def test_fields_can_be_named(tmp_path):
    rows = [{"review": f"{i}", "stars": i % 3} for i in range(60)]
    made = task(tmp_path, rows, source="review", target="stars")
    assert made.labels(made.examples("train")) == ("0", "1", "2")


@pytest.mark.parametrize("label", [None, "", ["a", "b"]])
def test_each_text_has_one_label(tmp_path, label):
    made = task(tmp_path, [{"text": "x", "label": label, "key": "k3"}])
    with pytest.raises(TokenRLError, match='"k3" .* labels: give each'):
        [made.examples(split) for split in ("train", "validation", "test")]


def test_missing_fields_are_named(tmp_path):
    made = task(tmp_path, [{"text": "x", "stars": 1}])
    with pytest.raises(TokenRLError, match='no field "target"; it has stars'):
        [made.examples(split) for split in ("train", "validation", "test")]


def test_class_numbers_get_their_names(tmp_path):
    rows = [{"text": f"t {i}", "label": i % 2} for i in range(60)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    task = tasks.get("classification", data=str(path), labels=["neg", "pos"])
    examples = task.examples("train")
    assert {e.references for e in examples} == {("neg",), ("pos",)}
    odd = [int(e.prompt.split()[1]) % 2 for e in examples]
    assert [e.reference == "pos" for e in examples] == odd
