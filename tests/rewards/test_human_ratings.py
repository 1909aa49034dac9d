"""Ratings from a feedback file."""

import json

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example


@pytest.mark.parametrize(
    ("prompt", "answer", "expected"),
    [
        ("Say it.", "Returns the sum.", 0.75),  # the mean of two ratings
        ("Say it. ", " Returns the sum.", 0.75),
        ("Cut off.", "", -1),
        ("Say it.", "Returns the sum", 0.1),
        ("Say it", "Returns the sum.", 0.1),
    ],
)
def test_the_very_answer_to_the_very_prompt(
    make_response, ratings, prompt, answer, expected
):
    reward = rewards.get("human_ratings", path=ratings, unrated=0.1)
    score = reward.score(Example(prompt), make_response([answer]))
    assert score == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": None}, 'object 2 .* a number "score"'),
        ({"score": True}, 'a number "score"'),
        ({"score": "1"}, 'a number "score"'),
        ({"score": float("nan")}, "finite"),
        ({"answer": 3}, "texts"),
        ({"prompt": None}, "texts"),
    ],
)
def test_bad_rows_are_named(tmp_path, change, message):
    row = {"prompt": "p", "answer": "a", "score": 1.0}
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(map(json.dumps, [row, row | change])))
    with pytest.raises(TokenRLError, match=message):
        rewards.get("human_ratings", path=str(path))


def test_the_file_must_be_there(tmp_path):
    with pytest.raises(TokenRLError, match="no file"):
        rewards.get("human_ratings", path=str(tmp_path / "none.jsonl"))
