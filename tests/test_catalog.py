import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_tokenrl import algorithms, catalog, rewards, schedules, tasks
from tf_tokenrl.errors import TokenRLError

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
NAMES = st.sampled_from(["clip", "epochs", "lambda_", "k"])


@pytest.mark.parametrize("family", [algorithms, rewards, schedules, tasks])
def test_a_folder_is_its_own_registry(family):
    found = catalog.names(family)
    assert found and "base" not in found
    for name in found:
        cls = catalog.find(family, name)
        assert cls.__module__ == f"{family.__name__}.{name}"
        assert cls.__name__ == catalog.class_name(name)


def test_a_misspelt_name_gets_a_hint():
    with pytest.raises(TokenRLError, match='Unknown reward "ruge".*"rouge"'):
        catalog.find(rewards, "ruge")


def test_a_class_of_the_users_own(tmp_path, monkeypatch):
    (tmp_path / "my_rewards.py").write_text("class Mine:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert catalog.find(rewards, "my_rewards:Mine").__name__ == "Mine"
    with pytest.raises(TokenRLError, match='has no "Yours"'):
        catalog.find(rewards, "my_rewards:Yours")
    del sys.modules["my_rewards"]


@pytest.mark.parametrize("name", [":Mine", "no.such:Mine", ".here:Mine", ":"])
def test_a_module_that_is_not_there(name):
    with pytest.raises(TokenRLError, match="Cannot import module"):
        catalog.find(rewards, name)


def test_an_option_that_is_not_there():
    with pytest.raises(TokenRLError, match='Cannot build "rouge".*colour'):
        catalog.create(rewards, "rouge", colour="red")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("ppo", ("ppo", {})),
        (" ppo ( ) ", ("ppo", {})),
        ("ppo(clip=0.1, epochs=-2)", ("ppo", {"clip": 0.1, "epochs": -2})),
        ("mine.rl:Mine", ("mine.rl:Mine", {})),
        ("'mine.rl:Mine'(a=(1, 'b'))", ("mine.rl:Mine", {"a": (1, "b")})),
        ("mine:Mine(a=None)", ("mine:Mine", {"a": None})),
    ],
)
def test_a_call_is_read(text, expected):
    assert catalog.parse_call(text) == expected


@given(options=st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3)))
def test_what_is_written_is_read(options):
    keywords = ", ".join(f"{k}={v!r}" for k, v in options.items())
    assert catalog.parse_call(f"name({keywords})") == ("name", options)


@pytest.mark.parametrize(
    "text",
    [
        "ppo(0.1)",
        "ppo(clip=",
        "ppo(clip=print('x'))",
        "ppo(clip=0.1)(epochs=2)",
        "ppo(clip=0.1) + 1",
        "ppo(clip=0.1).clip",
        "ppo(clip=\0)",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(TokenRLError, match="Cannot read"):
        catalog.parse_call(text)
