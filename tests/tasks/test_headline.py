import json

import pytest

from tf_tokenrl import rewards, tasks
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


@pytest.fixture
def data(tmp_path):
    rows = [
        {"text": ["One.", f"Two {i}."], "title": ["T", "U"], "key": f"k{i}"}
        for i in range(100)
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_fields_become_examples(data):
    task = tasks.get("headline", data=data, source="text", target="title")
    rows = task.examples("train")
    first = rows[0]
    assert first.references == ("T", "U")
    assert first == Example(f"One. Two {first.key[1:]}.", ("T", "U"), first.key)
    assert len({row.key for row in rows}) == len(rows)
    assert rows == task.examples("train")


def test_a_missing_target_is_named(data):
    task = tasks.get("headline", data=data, source="text", target="tldr")
    with pytest.raises(TokenRLError, match='"tldr"; it has key, text, title'):
        task.examples("train")


def test_every_metric_is_a_reward():
    for expression in tasks.get("headline").metrics.values():
        assert rewards.parse(expression)


def test_bad_names_and_options_are_named():
    with pytest.raises(TokenRLError, match='Did you mean "headline"'):
        tasks.get("headlines")
    with pytest.raises(TokenRLError, match="path"):
        tasks.get("headline", path="x")
    with pytest.raises(TokenRLError, match="is not a task"):
        tasks.get("collections:Counter")
