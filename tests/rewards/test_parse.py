"""Reading rewards from text."""

import sys
import textwrap

import pytest

from tf_tokenrl import rewards
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.rewards import Function


@pytest.fixture
def my_module(tmp_path, monkeypatch):
    source = """
        from tf_tokenrl.rewards import Reward

        class Politeness(Reward):
            def __init__(self, weight=1):
                self.weight = weight

            def score(self, example, response):
                return self.weight * float("please" in response.text)

        class Rude:
            pass

        VALUE = 3

        def shout(example, response, bonus=1.0):
            return bonus
    """
    (tmp_path / "my_module.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_module"
    sys.modules.pop("my_module", None)


def terms(expression):
    return [
        (name, weight) for name, weight, _ in rewards.parse(expression).terms()
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rouge", [("rouge", 1)]),
        ("rouge()", [("rouge", 1)]),
        (" -rouge ", [("rouge", -1)]),
        ("0.5 * 2 * kl", [("kl", 1)]),
        ("rouge * -2", [("rouge", -2)]),
        ("rouge -\n 0.1 * kl\n", [("rouge", 1), ("kl", -0.1)]),
        ("2 * (rouge - (kl - bleu))", [("rouge", 2), ("kl", -2), ("bleu", 2)]),
        ("'length'(target=3)", [("length", 1)]),
    ],
)
def test_expressions(expression, expected):
    assert terms(expression) == expected


def test_options_reach_the_reward():
    reward = rewards.parse("rouge(variant='2', dense=False)")
    assert (reward.variant, reward.dense) == ("2", False)
    assert rewards.get("length", target=12).target == 12


@pytest.mark.parametrize(
    "expression",
    ["dense(bleu - 0.1 * length)", "dense(reward=bleu - 0.1 * length)"],
)
def test_a_reward_of_rewards_takes_an_expression(expression):
    reward = rewards.parse(f"2 * {expression} - kl").terms()[0][2]
    assert [n for n, _, _ in reward.reward.terms()] == ["bleu", "length"]
    assert repr(rewards.parse(repr(reward))) == repr(reward)


def test_a_class_of_the_users_own(my_module, examples, responses, make_rollout):
    reward = rewards.parse("0.3 * 'my_module:Politeness'(weight=2) + kl")
    assert reward.terms()[0][:2] == ("Politeness", 0.3)
    assert reward.terms()[0][2].weight == 2
    assert repr(rewards.parse(repr(reward))) == repr(reward)
    reward(examples, responses, make_rollout(responses))


def test_a_function_of_the_users_own(my_module):
    reward = rewards.parse("'my_module:shout'(bonus=2.0)")
    assert isinstance(reward, Function)
    assert repr(reward) == "'my_module:shout'(bonus=2.0)"
    assert rewards.get("my_module:shout").score(None, None) == 1.0


@pytest.mark.parametrize("name", ["my_module:Rude", "my_module:VALUE"])
def test_what_is_no_reward_is_refused(my_module, name):
    with pytest.raises(TokenRLError, match="is not a reward"):
        rewards.get(name)


@pytest.mark.parametrize(
    ("expression", "character", "message"),
    [
        ("kl + roug", 6, 'Did you mean "rouge"'),
        ("kl + 'no_module:X'", 6, "Cannot import"),
        ("rouge(varian='l')", 1, 'Did you mean "variant".*dense.*variant'),
        ("rouge(variant='x')", 1, "not one of 1, 2"),
        ("kl('k1', 3)", 10, "by name"),
        ("count(distinct(n=2))", 1, "Unknown reward"),
        ("dense(bleu, kl)", 13, "by name"),
        ("dense(bleu, reward=kl)", 20, "there twice"),
        ("dense(3)", 7, "expected a reward, not a number"),
        ("dense()", 1, "reward"),
        ("dense(blue)", 7, 'Did you mean "bleu"'),
        ("length(target=n)", 15, '"target" must be a literal'),
        ("length(target={[]: 1})", 15, '"target" must be a literal'),
        ("length(target=open('x'))", 15, '"target" must be a literal'),
        ("length(**{'target': 3})", 10, "by name"),
        ("  kl +* kl", 7, "invalid syntax"),
        ("", 1, "invalid syntax"),
        ("0.3", 1, "a number, not a reward"),
        ("kl + 1", 1, "add rewards to rewards"),
        ("kl * rouge", 1, "add rewards to rewards"),
        ("rouge + kl / 2", 9, "only"),
        ("kl if rouge else bleu", 1, "expected a reward"),
        ("rouge.score", 1, "expected a reward"),
        ("__import__('os')", 1, "Unknown reward"),
        ("(lambda: kl)()", 1, "expected a reward"),
        ("True * kl", 1, "expected a reward"),
        ("'é' + kl + [1]", 1, "Unknown reward"),
        ("0 * kl + 'ééé'", 10, "Unknown reward"),
        ("1e999 * kl", 1, "finite"),
        (f"1{'0' * 400} * kl", 1, "finite"),
    ],
)
def test_mistakes_are_placed(expression, character, message):
    with pytest.raises(TokenRLError, match=message) as caught:
        rewards.parse(expression)
    assert f"at character {character}:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("expression", ["kl\0", "kl + ", "kl(", "'kl"])
def test_what_breaks_off_is_refused(expression):
    with pytest.raises(TokenRLError, match="Cannot read the reward"):
        rewards.parse(expression)
