"""One grammar: what every language has in common, and its mistakes."""

import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_tokenrl import algorithms, catalog, expressions, rewards, schedules
from tf_tokenrl.algorithms import Algorithm
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.training.rollouts import exploration
from tf_tokenrl.training.updates import kl_loss

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
NAMES = st.sampled_from(["first", "epochs", "lambda_", "k"])
PARSERS = [
    rewards.parse,
    schedules.parse,
    algorithms.parse,
    kl_loss.parse,
    exploration.parse,
]


class Kept:
    """Keeps what it is given."""

    def __init__(self, **options):
        self.options = options


@settings(deadline=None)
@given(options=st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3)))
def test_literals_are_read_as_python_reads_them(options):
    language = expressions.Language("thing", ())
    text = ", ".join(f"{name}={value!r}" for name, value in options.items())
    for written in (text, f"kept({text})"):
        found = expressions.call(written, Kept, language, {"kept": ""})
        assert found.options == options


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "'os:system'('true')",
        "[].append(1)",
        "lambda: 0",
        "x if y else z",
        "kl(",
        "kl) + (kl",
        "'kl",
        "kl\0",
        "*kl",
        "**kl",
        "kl = 1 = 2",
        "(" * 500,
        "-" * 5000 + "1",
        "é" * 20 + "(",
    ],
)
def test_nothing_is_evaluated_and_each_mistake_is_one_sentence(parse, text):
    with pytest.raises(TokenRLError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert "at character" in str(caught.value)


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (rewards.parse, "rouge(colour=3)"),
        (schedules.parse, "linear(0, 1, colour=3)"),
        (algorithms.parse, "ppo(colour=3)"),
        (kl_loss.parse, "k3, colour=3"),
        (exploration.parse, "colour=3"),
    ],
)
def test_a_wrong_option_names_those_there_are(parse, text):
    with pytest.raises(TokenRLError, match='"colour".*Available: \\w+'):
        parse(text)


def test_a_class_without_options_says_so():
    with pytest.raises(TokenRLError, match='"bare" takes no options'):
        catalog.build("bare", object, (), {"colour": 3})


def test_an_algorithm_within_an_algorithm_needs_no_quotes():
    plain = algorithms.parse("mixed(algorithm=ppo(epochs=2))")
    quoted = algorithms.parse("mixed(algorithm='ppo(epochs=2)')")
    assert plain.inner == quoted.inner and plain.epochs == 2
    assert algorithms.parse("mixed(algorithm=ppo)").inner.epochs == 4
    with pytest.raises(TokenRLError, match='21: Unknown algorithm "pppo"'):
        algorithms.parse("mixed(algorithm=2 * pppo)")


def test_a_schedule_is_an_option_where_the_class_says_so():
    found = algorithms.parse("ppo(entropy_weight=-0.5 * -linear(0.2, 0, 9))")
    assert found.entropy_weight(0) == pytest.approx(0.1)
    with pytest.raises(TokenRLError, match='12: option "epochs" must be a lit'):
        algorithms.parse("ppo(epochs=linear(0.2, 0, 9))")
    with pytest.raises(TokenRLError, match="name one algorithm"):
        algorithms.parse("ppo + grpo")
    with pytest.raises(TokenRLError, match="a number, not an algorithm"):
        algorithms.parse("3")


@pytest.fixture
def own(tmp_path, monkeypatch):
    source = """
        from __future__ import annotations
        import dataclasses
        from tf_tokenrl.algorithms.reinforce import Reinforce
        from tf_tokenrl.rewards import Reward
        from tf_tokenrl.schedules import Schedule

        class Both(Reward):
            def __init__(self, reward: Reward, weight: float | Schedule = 1.0,
                         free=None):
                self.reward, self.weight, self.free = reward, weight, free

        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Mine(Reinforce):
            rate: float | Schedule = 0.1
    """
    (tmp_path / "own_words.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_words"
    sys.modules.pop("own_words", None)


def test_annotations_that_are_text_count_too(own):
    text = "'own_words:Both'(kl, linear(0, 1, steps=2), free=rouge)"
    found = rewards.parse(f"2 * {text}").terms()[0][2]
    assert isinstance(found.reward, catalog.find(rewards, "kl"))
    assert found.weight(1) == 0.5
    assert isinstance(found.free, catalog.find(rewards, "rouge"))
    with pytest.raises(TokenRLError, match="expected a reward, not a number"):
        rewards.parse("'own_words:Both'(3)")
    algorithm = algorithms.parse("'own_words:Mine'(rate=cosine(1, 0, steps=4))")
    assert isinstance(algorithm, Algorithm) and algorithm.rate(4) == 0
