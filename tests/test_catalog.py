import sys

import pytest

from tf_tokenrl import algorithms, catalog, rewards, schedules, tasks
from tf_tokenrl.errors import TokenRLError


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
    with pytest.raises(TokenRLError, match='Unknown option of rouge "colour"'):
        catalog.create(rewards, "rouge", colour="red")
