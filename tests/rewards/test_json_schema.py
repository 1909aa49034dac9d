"""JSON, and the JSON that is wanted."""

import json

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example

PERSON = {
    "type": "object",
    "properties": {"age": {"type": "integer", "minimum": 0}},
    "required": ["age"],
}


def score(make_response, text, schema=None):
    reward = rewards.get("json_schema", schema=schema)
    return reward.score(Example("x"), make_response([text]))


@pytest.mark.parametrize(
    ("text", "is_json", "is_person"),
    [
        ('{"age": 3}', 1, 1),
        ('{"age": -3}', 1, 0),
        ('{"age": 3', 0, 0),
        ("[1, 2]", 1, 0),
        ("3", 1, 0),
        ("", 0, 0),
        ("NaN", 0, 0),
        ('{"age": Infinity}', 0, 0),
        ("[" * 100_000, 0, 0),
        ("9" * 10_000, 0, 0),  # more digits than Python reads
    ],
)
def test_answers(make_response, text, is_json, is_person):
    assert score(make_response, text) == is_json
    assert score(make_response, text, PERSON) == is_person


def test_a_schema_may_stand_in_a_file(make_response, tmp_path):
    path = tmp_path / "person.json"
    path.write_text(json.dumps(PERSON))
    assert score(make_response, '{"age": 3}', str(path)) == 1
    assert score(make_response, '{"age": "3"}', str(path)) == 0


def test_a_schema_may_refer_to_itself(make_response):
    tree = {"type": "array", "items": {"$ref": "#"}}
    assert score(make_response, "[[], [[]]]", tree) == 1
    assert score(make_response, "[[], [1]]", tree) == 0
    deep = "[" * 700 + "]" * 700
    assert score(make_response, deep, tree) == 0  # deeper than can be checked


def test_it_can_be_written_in_an_expression(make_response):
    reward = rewards.get("json_schema", schema=PERSON)
    again = rewards.parse(repr(reward))
    assert again.score(Example("x"), make_response(['{"age": 1}'])) == 1


def test_nothing_is_fetched(make_response):
    schema = {"items": {"$ref": "http://localhost:1/schema.json"}}
    with pytest.raises(TokenRLError, match="http://localhost:1/schema.json"):
        score(make_response, "[1]", schema)


@pytest.mark.parametrize("schema", [{"type": 3}, {"type": {1, 2}}, [1]])
def test_a_schema_must_be_one(schema):
    with pytest.raises(TokenRLError, match="no JSON schema"):
        rewards.get("json_schema", schema=schema)


def test_a_file_must_be_there(tmp_path):
    with pytest.raises(TokenRLError, match="cannot read the schema"):
        rewards.get("json_schema", schema=str(tmp_path / "none.json"))
