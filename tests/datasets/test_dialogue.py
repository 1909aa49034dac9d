"""Dialogues as rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl.datasets import dialogue
from tf_tokenrl.errors import TokenRLError


def test_the_last_message_of_an_assistant_is_the_answer():
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello!"},
    ]
    (row,) = dialogue.expand({"messages": messages, "n": 1}, 0, "Row 0")
    assert row == {
        "source": "system: Be kind.\nuser: Hi.",
        "target": "Hello!",
        "n": 1,
    }
    (row,) = dialogue.expand({"messages": messages[:2]}, 0, "Row 0")
    assert "target" not in row


def test_every_turn_but_the_first_is_asked_for():
    text = "Hi . __eou__ Oh ? __eou__ Yes __eou__"
    rows = list(dialogue.expand({"dialogue": text}, 3, ""))
    assert rows == [
        {"source": "Hi .", "target": "Oh ?", "key": "3-1", "group": "3"},
        {"source": "Hi .\nOh ?", "target": "Yes", "key": "3-2", "group": "3"},
    ]


@pytest.mark.parametrize("messages", [[], [{"role": "user"}], ["hi"]])
def test_messages_need_role_and_content(messages):
    with pytest.raises(TokenRLError, match="Row 0 has messages without"):
        list(dialogue.expand({"messages": messages}, 0, "Row 0"))


PARTS = ["\n\nHuman: a", "\n\nAssistant: b", "\n\nHuman: a c", "x"]
TURNS = st.lists(st.sampled_from(PARTS), max_size=5).map("".join)


@given(TURNS, TURNS, TURNS)
def test_prompt_and_answer_are_the_dialogue(shared, one, other):
    prompt, chosen, rejected = dialogue.pair(shared + one, shared + other)
    assert prompt + chosen == shared + one
    assert prompt + rejected == shared + other


@pytest.mark.parametrize(
    ("one", "other", "prompt"),
    [
        ("The sky", "The sky is blue", ""),
        ("Paris ", "London", ""),
        (
            "\n\nHuman: q\n\nAssistant: yes",
            "\n\nHuman: q\n\nAssistant: yes, it is",
            "\n\nHuman: q\n\nAssistant:",
        ),
        (
            "\n\nHuman: q\n\nAssistant: a\n\nHuman: r\n\nAssistant: z",
            "\n\nHuman: q\n\nAssistant: b\n\nHuman: r\n\nAssistant: z",
            "\n\nHuman: q\n\nAssistant:",
        ),
    ],
)
def test_the_prompt_ends_where_a_turn_begins(one, other, prompt):
    assert dialogue.pair(one, other)[0] == prompt
