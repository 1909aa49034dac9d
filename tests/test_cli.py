import importlib
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import tf_tokenrl
from tf_tokenrl import catalog, cli, runs
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options.compare import CompareOptions
from tf_tokenrl.options.list import Family
from tf_tokenrl.options.sft import SftOptions


def run(monkeypatch, *arguments):
    """The exit code of `tf-tokenrl ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["tf-tokenrl", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as done:
        return done.code
    return 0


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(monkeypatch, capsys, arguments):
    assert run(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    files = Path(__file__).parent.parent.joinpath("pipelines").glob("[!_]*.py")
    commands = {file.stem.replace("_", "-") for file in files}
    assert commands == set(cli._COMMANDS)
    assert all(f"\n  {name} " in out for name in commands)


def test_help_answers_without_tensorflow():
    code = (
        "import sys; from tf_tokenrl import cli; cli.run([]); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_command_gets_a_hint(monkeypatch, capsys):
    assert run(monkeypatch, "tarin") == 1
    captured = capsys.readouterr()
    assert captured.err.startswith('tf-tokenrl: Unknown command "tarin".')
    assert 'Did you mean "train"?' in captured.err
    assert not captured.out


@pytest.mark.parametrize("command", sorted(set(cli._COMMANDS) - {"serve"}))
def test_every_command_explains_its_options(monkeypatch, capsys, command):
    assert run(monkeypatch, command, "--help") == 0
    out = capsys.readouterr().out
    assert f"tf-tokenrl {command}" in out
    assert "--config FILE" in out or command in cli._SUBCOMMANDS


def test_an_unknown_flag_is_a_usage_error(monkeypatch, capsys):
    assert run(monkeypatch, "export", "--polcy", "x") == 2
    assert "--polcy" in capsys.readouterr().err


def test_a_mistake_is_one_sentence(monkeypatch, capsys, tmp_path):
    missing = tmp_path / "none.keras"
    assert run(monkeypatch, "export", "--policy", missing) == 1
    err = capsys.readouterr().err
    assert err.startswith(f'tf-tokenrl: There is no policy "{missing}"')
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error, code",
    [
        (TokenRLError("Wrong."), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(), 141),
    ],
)
def test_exit_codes(monkeypatch, error, code):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "run", fail)
    assert run(monkeypatch) == code


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "run", lambda arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch)


FLAGS = [
    *("--out", "elsewhere", "--epochs", "3", "--learning-rate", "0.5"),
    *("--start", "old.keras", "--model.width", "32"),
]


def test_a_config_file_repeats_a_run(tmp_path):
    options = cli.parse(SftOptions, FLAGS, "test")
    assert options.model.width == 32 and options.start == Path("old.keras")
    runs.record(tmp_path, "sft", options)
    config = str(tmp_path / "options.json")
    for given in (["--config", config], [f"--config={config}"]):
        assert cli.parse(SftOptions, given, "test") == options


def test_flags_override_the_config_file(tmp_path):
    runs.record(tmp_path, "sft", cli.parse(SftOptions, FLAGS, "test"))
    given = ["--epochs", "9", "--config", str(tmp_path / "options.json")]
    options = cli.parse(SftOptions, [*given, "--model.heads", "2"], "test")
    assert (options.epochs, options.out) == (9, Path("elsewhere"))
    assert (options.model.heads, options.model.width) == (2, 32)


def test_config_needs_a_file():
    with pytest.raises(TokenRLError, match="--config needs a file"):
        cli.parse(SftOptions, ["--config"], "test")


def test_the_algorithm_is_known_before_tensorflow_starts():
    assert cli._algorithm(" dqn (epsilon=0.1)") == "dqn"
    assert cli._algorithm("ppo") == "ppo"


@pytest.mark.parametrize("flag", ["--kl-loss", "--kl_weight=0.1"])
def test_flags_that_went_answer_with_the_new_spelling(flag):
    with pytest.raises(TokenRLError, match='now part of --kl, as in --kl "k3'):
        cli.parse(SftOptions, [flag, "k3"], "test")


def test_flags_without_their_group_still_work_and_say_so(capsys):
    flags = ["--learning-rate", "0.5", "--no-jit", "--weight_decay=0.1"]
    options = cli.parse(SftOptions, flags, "test")
    assert (options.learning_rate, options.weight_decay) == (0.5, 0.1)
    assert "--learning-rate is now --optimizer.learning-rate; --no-jit" in (
        capsys.readouterr().err
    )
    flags = ["--train.learning-rate", "0.5", "--sft.epochs", "3"]
    options = cli.parse(CompareOptions, flags, "test")
    assert (options.train.learning_rate, options.sft.epochs) == (0.5, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"optimizer": {"learning_rate": 0.5}, "epochs": 3}'),
        ("a.json", '{"learning_rate": 0.5, "epochs": 3}'),
        ("a.toml", "epochs = 3\n[optimizer]\nlearning-rate = 0.5\n"),
        ("a.yaml", "epochs: 3\noptimizer:\n  learning_rate: 0.5\n"),
        ("a.yml", "epochs: 3\nlearning_rate: 0.5\n"),
    ],
)
def test_a_config_file_may_be_json_toml_or_yaml(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    options = cli.parse(SftOptions, ["--config", str(tmp_path / name)], "test")
    assert options == SftOptions(learning_rate=0.5, epochs=3)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "epochs = ", "Cannot read the options"),
        ("a.yaml", "- 3", "holds no options by name"),
        ("a.yaml", "a: [", "Cannot read the options"),
        ("a.yaml", "epochs: 0", "--epochs must be at least 1, not 0"),
        ("a.yaml", "optimizer: {rate: 3}", "sets rate"),
        ("none.toml", None, "No such file"),
    ],
)
def test_a_config_file_that_does_not_fit(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(TokenRLError, match=message) as caught:
        cli.parse(SftOptions, ["--config", str(tmp_path / name)], "test")
    assert "\n" not in str(caught.value)


def test_the_config_that_is_printed_is_read_again(tmp_path, capsys):
    flags = ["--epochs", "3", "--model.width", "32", "--compute.jit"]
    assert cli.parse(SftOptions, [*flags, "--print-config"], "test") is None
    (tmp_path / "a.yaml").write_text(capsys.readouterr().out)
    again = cli.parse(SftOptions, [f"--config={tmp_path / 'a.yaml'}"], "test")
    assert again == cli.parse(SftOptions, flags, "test")


def test_help_typos_and_values_out_of_range_need_no_tensorflow():
    code = """
import sys
from tf_tokenrl import cli
from tf_tokenrl.errors import TokenRLError
for command in set(cli._COMMANDS) - {"serve", "list", "feedback"}:
    for rest in (["--help"], ["--no-such-flag"]):
        try:
            cli.run([command, *rest])
        except SystemExit:
            pass
try:
    cli.run(["train", "--steps", "0"])
except TokenRLError:
    pass
cli.run(["list", "rewards"])
cli.run(["list", "algorithms", "ppo"])
sys.exit("tensorflow" in sys.modules or "keras" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_version_is_that_of_the_package(monkeypatch, capsys):
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"tf_tokenrl {tf_tokenrl.__version__}\n"


@pytest.mark.parametrize("family", typing.get_args(Family))
def test_a_list_names_every_member(monkeypatch, capsys, family):
    assert run(monkeypatch, "list", family) == 0
    out = capsys.readouterr().out
    package = importlib.import_module(f"tf_tokenrl.{family}")
    names = catalog.names(package)
    assert [n for n in names if f"\n{n} " in f"\n{out}"] == names
    for name in names:
        assert run(monkeypatch, "list", family, name) == 0
        page = capsys.readouterr().out
        assert page.startswith(f"{name}(") and "\n\n" in page
    assert run(monkeypatch, "list", family, "rugby") == 1
    assert "Available" in capsys.readouterr().err
