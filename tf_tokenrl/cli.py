"""`tf-tokenrl COMMAND`: one command per arrow of the circle."""

import argparse
import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

import tyro

from tf_tokenrl import extras, runs
from tf_tokenrl.errors import TokenRLError, unknown

_COMMANDS = {
    "prepare": "clean, screen and split data, and train a tokenizer",
    "sft": "supervised warm start by maximum likelihood",
    "train": "reinforcement learning on per-token rewards",
    "recover": "write a checkpoint of a run as a policy",
    "evaluate": "metrics of a policy with confidence intervals",
    "export": "write a policy as a SavedModel",
    "serve": "serve SavedModels over gRPC, as tensorflow_model_server does",
    "query": "ask a served model",
    "feedback": "collect what people say about answers, and look after it",
    "report": "write the report of a run as one HTML file",
    "pareto": "compare several runs by several objectives",
    "compare": "reinforcement against supervised learning that costs as much",
    "demo": "the whole circle, on text that is already on this machine",
}
_OLD = dict.fromkeys(
    ("--kl-loss", "--kl-weight"),
    'part of --kl, as in --kl "k3, weight=0.1"',
)
_WITHOUT_TENSORFLOW = ("feedback", "pareto", "query", "report", "serve")


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
    command, rest = arguments[0], arguments[1:]
    if command not in _COMMANDS:
        raise unknown("command", command, _COMMANDS)
    module = f"tf_tokenrl.pipelines.{command}"
    if command == "serve":
        importlib.import_module(module).main(rest)
        return
    if command == "train" and _algorithm(rest) == "dqn":
        _choose_keras_2()
    if command not in _WITHOUT_TENSORFLOW:
        from tf_tokenrl.runtime.startup import start_tensorflow

        start_tensorflow()
    pipeline = importlib.import_module(module)
    options_class = getattr(pipeline, f"{command.capitalize()}Options")
    pipeline.main(parse(options_class, rest, f"tf-tokenrl {command}"))


def parse(options_class: type, arguments: list[str], program: str):
    """Options from flags, on top of those of a `--config` file if given.

    Raises:
        TokenRLError: the file does not fit the class.
    """
    _check_old(arguments)
    config, arguments = _config(arguments)
    default = runs.read_options(config, options_class) if config else None
    summary = (options_class.__doc__ or "").partition("\n")[0]
    return tyro.cli(
        options_class,
        prog=program,
        args=arguments,
        default=default or tyro.MISSING_NONPROP,
        description=f"{summary} "
        "`--config FILE` takes the options.json of an earlier run; flags "
        "override it.",
    )


def _check_old(arguments: list[str]) -> None:
    """Flags that went answer with the new spelling."""
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if flag in _OLD:
            raise TokenRLError(f"{flag} is now {_OLD[flag]}.")


def _algorithm(arguments: list[str]) -> str:
    """The name that `--algorithm` or else the `--config` file gives, or ""."""
    config, arguments = _config(arguments)
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--algorithm", nargs="?", default="")
    given = parser.parse_known_args(arguments)[0].algorithm
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError):
        if config and not given:  # what is wrong with it, `parse` will say
            given = json.loads(config.read_text("utf-8"))["algorithm"]
    return str(given).partition("(")[0].strip()


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
            "`tf-tokenrl COMMAND --help` shows the options of a command.",
        ]
    )
