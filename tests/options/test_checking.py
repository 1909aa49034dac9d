"""Every option of every command is checked before any work."""

import dataclasses
import importlib
import math
import typing
from pathlib import Path

import pytest
from annotated_types import Ge, Gt, Le

from tests.support import architecture as house
from tf_tokenrl import runs
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options import checking, grouping

FOLDER = Path(house.ROOT, "tf_tokenrl", "options")
COMMANDS = sorted(
    {file.stem for file in FOLDER.glob("[!_]*.py")} - {"checking", "grouping"}
)


def options_class(command):
    module = importlib.import_module(f"tf_tokenrl.options.{command}")
    return getattr(module, f"{command.capitalize()}Options")


def numbers():
    """Every number among the options: its class, name and annotation."""
    for command in COMMANDS:
        cls = options_class(command)
        for name, hint in checking.hints(cls).items():
            plain = (
                typing.get_args(hint)[0]
                if hasattr(hint, "__metadata__")
                else hint
            )
            if plain in (int, float):
                yield cls, name, plain, getattr(hint, "__metadata__", ())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_defaults_fit_and_survive_the_command_line(command):
    made = options_class(command)()
    nested = grouping.nest(made)
    assert grouping.flatten(nested, type(made)) == made
    values = grouping.nested_values(runs.as_plain(made), type(made))
    assert grouping.flat_values(values, type(made)) == runs.as_plain(made)


def test_every_number_says_what_fits():
    free = {"seed"}
    open_ended = [
        f"{cls.__name__}.{name}"
        for cls, name, _, extras in numbers()
        if name not in free
        and not any(isinstance(x, Ge | Gt | Le) for x in extras)
    ]
    assert not open_ended


def test_numbers_out_of_range_are_refused():
    for cls, name, kind, extras in numbers():
        wrong = [math.nan, math.inf, -math.inf]
        if any(isinstance(x, Ge | Gt) for x in extras):
            wrong += [-1, -0.5] if kind is float else [-1]
        if any(isinstance(x, Gt) or x == Ge(1) for x in extras):
            wrong.append(0)
        if kind is int:
            wrong.append(1.5)
        for value in wrong:
            with pytest.raises(TokenRLError) as caught:
                cls(**{name: value})
            message = str(caught.value)
            assert message.startswith(checking.flag(cls, name)), message
            assert str(value) in message and "\n" not in message


def test_choices_are_named():
    cls = options_class("train")
    with pytest.raises(TokenRLError, match='--compute.dtype "float16".*bfloat'):
        cls(dtype="float16")
    with pytest.raises(TokenRLError, match='--compute.jit "all".*scoring'):
        cls(jit=("scoring", "all"))
    with pytest.raises(TokenRLError, match='--split "dev".*validation'):
        options_class("evaluate")(split="dev")


def test_a_group_is_a_prefix_on_the_command_line_alone():
    cls = options_class("train")
    assert checking.flag(cls, "learning_rate") == "--optimizer.learning-rate"
    assert checking.flag(cls, "batch_size") == "--batch-size"
    nested = grouping.nest(cls(learning_rate=0.5))
    assert nested.optimizer.learning_rate == 0.5
    inner = grouping.nest(options_class("compare")())
    assert inner.train.optimizer.learning_rate == 3e-4


def test_what_most_people_need_comes_first():
    names = [
        f.name
        for f in dataclasses.fields(grouping.nested(options_class("train")))
    ]
    assert names[:4] == ["policy", "data", "task", "out"]
    assert names[-4:] == ["rollout", "compute", "optimizer", "watch"]
