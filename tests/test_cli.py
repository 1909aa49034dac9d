import subprocess
import sys
from pathlib import Path

import pytest

from tf_tokenrl import cli, runs
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.pipelines.sft import SftOptions


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
    commands = {file.stem for file in files}
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
    assert f"tf-tokenrl {command}" in out and "--config FILE" in out


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


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["--algorithm=dqn"], "dqn"),
        (["--steps", "3", "--algorithm", "dqn(epsilon=0.1)"], "dqn"),
        (["--algorithm=ppo", "--out=dqn"], "ppo"),
        (["--config={config}"], "dqn"),
        (["--config", "{config}", "--algorithm=ppo"], "ppo"),
        (["--config={config}.not"], ""),
        (["--algorithm"], "None"),
        ([], ""),
    ],
)
def test_the_algorithm_is_known_before_tensorflow_starts(
    tmp_path, arguments, name
):
    config = tmp_path / "options.json"
    config.write_text('{"algorithm": "dqn (epsilon=0.1)"}')
    given = [argument.format(config=config) for argument in arguments]
    assert cli._algorithm(given) == name


@pytest.mark.parametrize("flag", ["--kl-loss", "--kl_weight=0.1"])
def test_flags_that_went_answer_with_the_new_spelling(flag):
    with pytest.raises(TokenRLError, match='now part of --kl, as in --kl "k3'):
        cli.parse(SftOptions, [flag, "k3"], "test")
