import importlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tf_tokenrl import files, runs
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options import checking
from tf_tokenrl.options.train import TrainOptions
from tf_tokenrl.training.updates import kl_loss

COMMANDS = ("prepare", "sft", "train", "evaluate", "export", "report", "demo")


@dataclass(frozen=True)
class Inner(checking.Options):
    """Options within options."""

    width: int = 4


@dataclass(frozen=True)
class Options(checking.Options):
    """One of each kind."""

    data: Path = Path("data")
    start: Path | None = None
    rate: float = 0.5
    steps: int = 3
    resume: bool = False
    name: str = "é"
    inner: Inner = field(default_factory=Inner)


def options_class(command):
    module = importlib.import_module(f"tf_tokenrl.options.{command}")
    return getattr(module, f"{command.capitalize()}Options")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_runs_options_make_the_same_run(command, tmp_path):
    options = options_class(command)()
    runs.record(tmp_path, command, options)
    again = runs.read_options(tmp_path / "options.json", type(options))
    assert again == options
    written = json.loads((tmp_path / "options.json").read_text("utf-8"))
    assert written["command"] == command
    versions = json.loads((tmp_path / "versions.json").read_text("utf-8"))
    assert {"python", "tensorflow", "keras", "numpy"} <= set(versions)
    assert sorted(os.listdir(tmp_path)) == ["options.json", "versions.json"]


def test_every_kind_of_option_comes_back(tmp_path):
    options = Options(Path("a/b"), Path("c"), 1e-3, 7, True, "ü", Inner(9))
    runs.record(tmp_path, "test", options)
    assert runs.read_options(tmp_path / "options.json", Options) == options


def test_a_run_goes_on_with_the_options_it_began_with(tmp_path):
    runs.check_unchanged(tmp_path, Options(), (), {})
    runs.record(tmp_path, "test", Options(steps=3, rate=0.1))
    runs.check_unchanged(tmp_path, Options(steps=3, rate=0.1), (), {})
    runs.check_unchanged(tmp_path, Options(steps=9, rate=0.1), {"steps"}, {})
    with pytest.raises(TokenRLError, match="rate was 0.1, now 0.2") as caught:
        runs.check_unchanged(
            tmp_path, Options(steps=9, rate=0.2), {"rates"}, {}
        )
    message = str(caught.value)
    assert "steps was 3, now 9" in message and str(tmp_path) in message


def test_what_is_not_given_has_its_default(tmp_path):
    (tmp_path / "options.json").write_text('{"rate": 1}')
    read = runs.read_options(tmp_path / "options.json", Options)
    assert read == Options(rate=1.0)
    assert type(read.rate) is float


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{", "not valid JSON"),
        ("[1, 2]", "JSON list"),
        ("[]", "JSON list"),
        ("3", "JSON number"),
        ('{"stepps": 3}', "sets stepps.*steps"),
        ('{"steps": "three"}', "steps"),
        ('{"steps": "3"}', "steps"),
        ('{"steps": 3.5}', "steps"),
        ('{"steps": true}', "steps"),
        ('{"steps": null}', "steps"),
        ('{"rate": "fast"}', "rate"),
        ('{"resume": "no"}', "resume"),
        ('{"name": 5}', "name"),
        ('{"data": 5}', "data"),
        ('{"start": 5}', "start"),
        ('{"inner": {"width": "wide"}}', "width"),
        ('{"inner": {"height": 1}}', "height"),
        ('{"inner": 4}', "inner"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(tmp_path, text, expected):
    path = tmp_path / "options.json"
    path.write_text(text)
    with pytest.raises(TokenRLError, match=expected) as raised:
        runs.read_options(path, Options)
    message = str(raised.value)
    assert str(path) in message and "\n" not in message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TokenRLError, match="nothing.json"):
        runs.read_options(tmp_path / "nothing.json", Options)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"kl_loss": "", "kl_weight": "0.1"}, ""),
        ({"kl_loss": "exact", "kl_weight": "0.5"}, "exact, weight=0.5"),
        (
            {"kl_loss": "k3(direct=True)", "kl_weight": "linear(0, 1, 9)"},
            "k3, direct=True, weight=linear(0, 1, 9)",
        ),
    ],
)
def test_options_of_older_runs_are_read(tmp_path, before, now):
    files.write_json(tmp_path / "options.json", before)
    options = runs.read_options(tmp_path / "options.json", TrainOptions)
    assert options.kl == now
    kl_loss.parse(options.kl)
    runs.check_unchanged(tmp_path, options, (), {})
