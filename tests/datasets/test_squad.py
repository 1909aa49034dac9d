"""SQuAD's JSON."""

import json

import pytest

from tf_tokenrl.datasets import readers, squad
from tf_tokenrl.errors import TokenRLError


def test_questions_become_rows(tmp_path):
    answers = [{"text": "Paris", "answer_start": 0}] * 2
    answers.append({"text": "the city", "answer_start": 9})
    questions = [
        {"id": "1", "question": "Where?", "answers": answers},
        {"id": "2", "question": "Why?", "answers": [], "is_impossible": True},
    ]
    article = {
        "title": "France",
        "paragraphs": [{"context": "Paris is ...", "qas": questions}],
    }
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [article]}))
    first, second = squad.read_squad(path)
    assert first == {
        "key": "1",
        "question": "Where?",
        "context": "Paris is ...",
        "answers": ["Paris", "the city"],
        "group": "France",
    }
    assert second["answers"] == []


@pytest.mark.parametrize("text", ["{", "[1]", '{"data": [{}]}', '{"data": []}'])
def test_other_json_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(TokenRLError, match="SQuAD|no questions"):
        readers.read(str(path), "train")
