"""`tf-tokenrl COMMAND`: one command per arrow of the circle."""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import tyro
import yaml

from tf_tokenrl import __version__, extras, runs
from tf_tokenrl.catalog import class_name
from tf_tokenrl.errors import TokenRLError, unknown
from tf_tokenrl.options import checking as options
from tf_tokenrl.options import grouping

_COMMANDS = {
    "prepare": "clean, screen and split data, and train a tokenizer",
    "sft": "supervised warm start by maximum likelihood",
    "train": "reinforcement learning on per-token rewards",
    "reward-model": "learn from preferences or ratings what a judge says",
    "recover": "write a checkpoint of a run as a policy",
    "evaluate": "metrics of a policy with confidence intervals",
    "export": "write a policy as a SavedModel",
    "serve": "serve SavedModels over gRPC, as tensorflow_model_server does",
    "query": "ask a served model",
    "feedback": "collect what people say about answers, and look after it",
    "report": "write the report of a run as one HTML file",
    "pareto": "compare several runs by several objectives",
    "compare": "reinforcement against supervised learning that costs as much",
    "list": "what rewards, algorithms, tasks and schedules there are",
    "demo": "the whole circle, on text that is already on this machine",
}
_OLD = dict.fromkeys(
    ("--kl-loss", "--kl-weight"),
    'part of --kl, as in --kl "k3, weight=0.1"',
)
_SUBCOMMANDS = ("feedback",)
_WITHOUT_TENSORFLOW = (
    "feedback",
    "list",
    "pareto",
    "query",
    "report",
    "serve",
)


def main() -> None:
    """Run a command; a mistake of the user's ends with one sentence."""
    try:
        with extras.explaining():
            run(sys.argv[1:])
    except TokenRLError as error:
        print(f"tf-tokenrl: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("\ntf-tokenrl: interrupted.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(141) from None


def run(arguments: list[str]) -> None:
    """Run the command that `arguments` name.

    Raises:
        TokenRLError: there is no such command, or it fails.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return
    if arguments[0] in ("-V", "--version"):
        print(f"tf_tokenrl {__version__}")
        return
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        raise unknown("command", command, _COMMANDS)
    name = command.replace("-", "_")
    module = f"tf_tokenrl.pipelines.{name}"
    if command == "serve":
        importlib.import_module(module).main(rest)
        return
    # Flags are read before TensorFlow starts: help and typos answer at once.
    given = parse(_options_class(command), rest, f"tf-tokenrl {command}")
    if given is None:
        return
    if command == "train" and _algorithm(given.algorithm) == "dqn":
        _choose_keras_2()
    if command not in _WITHOUT_TENSORFLOW:
        from tf_tokenrl.runtime.startup import start_tensorflow

        start_tensorflow()
    importlib.import_module(module).main(given)


def _options_class(command: str) -> type:
    """What a command is told; that of subcommands stands with them."""
    home = "pipelines" if command in _SUBCOMMANDS else "options"
    name = command.replace("-", "_")
    module = importlib.import_module(f"tf_tokenrl.{home}.{name}")
    return getattr(module, f"{class_name(name)}Options")


def parse(options_class: Any, arguments: list[str], program: str):
    """Options from flags, on top of those of a `--config` file if given.

    Returns:
        The options; None where `--print-config` was given and obeyed.

    Raises:
        TokenRLError: a flag went, or a value or the file does not fit.
    """
    summary = (options_class.__doc__ or "").partition("\n")[0]
    if not issubclass(options_class, options.Options):  # of subcommands
        return tyro.cli(
            options_class, prog=program, args=arguments, description=summary
        )
    config, arguments = _config(_with_groups(arguments, options_class))
    shown = "--print-config" in arguments
    arguments = [a for a in arguments if a != "--print-config"]
    default: Any = options_class()
    if config:
        default = runs.read_options(config, options_class)
    given: Any = tyro.cli(
        grouping.nested(options_class),
        prog=program,
        args=arguments,
        default=grouping.nest(default),
        description=f"{summary} "
        "`--config FILE` takes the options.json of an earlier run, or a TOML "
        "or YAML file; flags override it. `--print-config` shows all options "
        "as YAML and does nothing else.",
    )
    given = grouping.flatten(given, options_class)
    if not shown:
        return given
    values = grouping.nested_values(runs.as_plain(given), options_class)
    print(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), end="")
    return None


def _with_groups(arguments: list[str], options_class: type) -> list[str]:
    """Flags without their group get it, and the new spelling is said.

    Raises:
        TokenRLError: a flag has become part of another.
    """
    now, said, found = _grouped(options_class), [], []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        plain = flag.replace("_", "-")
        if plain in _OLD:
            raise TokenRLError(f"{plain} is now {_OLD[plain]}.")
        if plain in now:
            said.append(f"{flag} is now {now[plain]}")
            argument = f"{now[plain]}{equals}{value}"
        found.append(argument)
    if said:
        print(f"tf-tokenrl: {'; '.join(said)}.", file=sys.stderr)
    return found


def _grouped(options_class: type, prefix: str = "") -> dict[str, str]:
    """Flag without its group -> flag with it."""
    found: dict[str, str] = {}
    for name, hint in options.hints(options_class).items():
        if isinstance(hint, type) and issubclass(hint, options.Options):
            found |= _grouped(hint, f"{prefix}{name}.")
        elif group := options.group_of(hint):
            word = name.replace("_", "-")
            for no in ("", "no-"):
                new = f"--{prefix}{group.name}.{no}{word}"
                found[f"--{prefix}{no}{word}"] = new
    return found


def _algorithm(expression: str) -> str:
    """The name of an algorithm, without reading the rest."""
    return expression.partition("(")[0].strip()


def _choose_keras_2() -> None:
    """What TF-Agents finds as `tf.keras` is chosen before TensorFlow starts."""
    if importlib.util.find_spec("tf_keras"):
        os.environ["TF_USE_LEGACY_KERAS"] = "1"


def _config(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Take `--config FILE` or `--config=FILE` out of the arguments."""
    rest = list(arguments)
    for index, argument in enumerate(rest):
        name, equals, value = argument.partition("=")
        if name != "--config":
            continue
        if not equals and index + 1 == len(rest):
            raise TokenRLError("--config needs a file.")
        end = index + (1 if equals else 2)
        value = value if equals else rest[index + 1]
        return Path(value), rest[:index] + rest[end:]
    return None, rest


def _help() -> str:
    width = max(map(len, _COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, text in _COMMANDS.items()]
    return "\n".join(
        [
            "usage: tf-tokenrl COMMAND [options]",
            "",
            "Token-level reinforcement learning of language models, from "
            "data to a served model.",
            "",
            *lines,
            "",
            "`tf-tokenrl COMMAND --help` shows the options of a command, "
            "`tf-tokenrl --version` the version.",
        ]
    )
