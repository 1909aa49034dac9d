import json

import pytest

from tf_tokenrl.serving.generation import chat
from tf_tokenrl.serving.generation.completions import RequestError

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "assets.extra").mkdir()
    return tmp_path


def template(folder, text):
    card = folder / "assets.extra" / "model_card.json"
    card.write_text(json.dumps({"chat_template": text}))


def test_without_a_template_contents_are_joined(folder):
    assert chat.prompt(str(folder), MESSAGES) == "Be brief.\nHi"
    assert chat.prompt(str(folder), MESSAGES[1:]) == "Hi"


def test_the_card_may_bring_a_template(folder):
    template(
        folder,
        "{% for m in messages %}<{{ m.role }}>{{ m['content'] }}\n"
        "{% endfor %}{% if add_generation_prompt %}<answer>{% endif %}",
    )
    expected = "<system>Be brief.\n<user>Hi\n<answer>"
    assert chat.prompt(str(folder), MESSAGES) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}",
        "{% for %}",
    ],
)
def test_a_template_can_refuse_but_do_no_harm(folder, text):
    template(folder, text)
    with pytest.raises(RequestError, match="chat template"):
        chat.prompt(str(folder), MESSAGES)


def test_a_card_that_is_none_is_no_card(folder):
    (folder / "assets.extra" / "model_card.json").write_text("[]")
    assert chat.prompt(str(folder), MESSAGES[1:]) == "Hi"
