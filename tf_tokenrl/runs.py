"""What a run's folder keeps, so that the run can be made again."""

import contextlib
import dataclasses
import importlib.metadata
import json
import platform
import subprocess
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import cattrs
import yaml

from tf_tokenrl import files
from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.options import grouping

_PACKAGES = (
    "tf_tokenrl",
    "tensorflow",
    "tensorflow-text",
    "keras",
    "keras-hub",
    "numpy",
    "sentencepiece",
    "rouge-score",
    "sacrebleu",
)


def record(folder: Path, command: str, options: Any) -> None:
    """Write `options.json` and `versions.json` into a run's folder."""
    values = {"command": command, **as_plain(options)}
    files.write_json(folder / "options.json", values)
    files.write_json(folder / "versions.json", versions())


def as_plain(options: Any) -> dict[str, Any]:
    """A dataclass of options as what JSON can hold; paths become strings."""
    converter = cattrs.Converter()
    converter.register_unstructure_hook(Path, str)
    return converter.unstructure(options)


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """The options of an older run under the names that they have now."""
    if "kl_loss" in values:
        estimator, weight = values.pop("kl_loss"), values.pop("kl_weight", 0.1)
        inner = estimator.strip().removesuffix(")").replace("(", ", ", 1)
        values["kl"] = f"{inner}, weight={weight}" if inner else ""
    return values


def read_options(path: Path, cls: type) -> Any:
    """Options of class `cls` from a JSON, TOML or YAML file.

    Options of a group may stand together or apart.

    Raises:
        TokenRLError: the file cannot be read, or does not fit the class.
    """
    values = grouping.flat_values(upgraded(_values(Path(path))), cls)
    values.pop("command", None)
    known = {field.name for field in dataclasses.fields(cls)}
    if extra := sorted(set(values) - known):
        raise TokenRLError(
            f'"{path}" sets {", ".join(extra)}, which this command does not '
            f"have; it has {', '.join(sorted(known))}."
        )
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    for kind in (bool, int, float, str):
        converter.register_structure_hook(kind, _exact)
    try:
        return converter.structure(values, cls)
    except cattrs.BaseValidationError as error:
        said, _ = error.split(TokenRLError)
        reasons = "; ".join(
            [_first(said).rstrip(".")]
            if said
            else cattrs.transform_error(error)
        )
        raise TokenRLError(f'"{path}" does not fit: {reasons}.') from error


POLICY = "policy.keras"  # what a run's folder holds when it has ended


def take_up(
    folder: Path,
    command: str,
    options: Any,
    checkpoint: Any,
    free: Collection[str],
    why_not: Mapping[str, str] | None = None,
) -> None:
    """Go on with the run in `folder`, or begin one where that harms none.

    The rule of every command that trains: finished work is replaced only by
    `overwrite`, and `resume` goes on with a run that is there.

    Args:
        folder: of the run.
        command: its name.
        options: a dataclass with `resume` and `overwrite`.
        checkpoint: a `Checkpoint` in that folder.
        free: names of options that may change when a run goes on.
        why_not: for other options, why they may not.

    Raises:
        TokenRLError: there is no run to go on with, or it began with other
            options; or there is one that would be replaced.
    """
    if options.resume:
        if not checkpoint.exists:
            raise TokenRLError(
                f'There is no run in "{folder}" to resume: check --out, or '
                "leave --resume out to begin one there."
            )
        check_unchanged(folder, options, free, why_not or {})
        print(f"Resumed after {checkpoint.restore()} steps.")
    elif not options.overwrite and (folder / POLICY).exists():
        raise TokenRLError(
            f'"{folder}" holds the policy of an earlier run: give another '
            "--out, move it aside, or replace it by --overwrite."
        )
    checkpoint.check_free()
    if checkpoint.writes:
        if not options.resume:
            (folder / POLICY).unlink(missing_ok=True)
        kept = dataclasses.replace(options, overwrite=False, resume=False)
        record(folder, command, kept)


def check_unchanged(
    folder: Path,
    options: Any,
    free: Collection[str],
    why_not: Mapping[str, str],
) -> None:
    """The options of a run that goes on must be those it began with.

    Paths are not compared, for a project may be moved: what the files at
    their ends hold is, by `Checkpoint`.

    Args:
        folder: of the run; one without `options.json` is not compared.
        options: a dataclass, those of now.
        free: names of options that may change.
        why_not: for other options, why they may not.

    Raises:
        TokenRLError: an option that is not free has another value now.
    """
    path = folder / "options.json"
    if not path.exists():
        return
    before = upgraded(files.read_json(path))
    now = json.loads(json.dumps(as_plain(options)))
    paths = {n for n, v in vars(options).items() if isinstance(v, Path)}
    changed = [
        name
        for name in now
        if name in before
        and name not in paths | set(free)
        and before[name] != now[name]
    ]
    if changed:
        values = "; ".join(
            f"{name} was {before[name]!r}, now {now[name]!r}"
            for name in changed
        )
        reasons = [why_not[name] for name in changed if name in why_not]
        raise TokenRLError(
            f'The run in "{folder}" began with other options ({values}): '
            "resume with the same, or begin a run of its own with another "
            f"--out{''.join(f'; {reason}' for reason in reasons)}."
        )


def _first(group: BaseException) -> str:
    """The message of the first error in a tree of errors."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return str(group)


def _values(path: Path) -> dict[str, Any]:
    """The values of a file, by the format that its name says."""
    try:
        if path.suffix == ".toml":
            return tomllib.loads(path.read_text("utf-8"))
        if path.suffix in (".yaml", ".yml"):
            values = yaml.safe_load(path.read_text("utf-8"))
            if isinstance(values, dict):
                return values
            raise ValueError("it holds no options by name")
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise TokenRLError(
            f'Cannot read the options "{path}": {reason}.'
        ) from error
    return files.read_json(path)


def _exact(value: Any, kind: type) -> Any:
    """`value` if it is of `kind` already; an int will do for a float."""
    if type(value) is kind:
        return value
    if kind is float and type(value) is int:
        return float(value)
    raise ValueError(value)


def versions() -> dict[str, str]:
    """Versions of Python, of the packages that matter and of the source."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if revision := _git_revision():
        found["git"] = revision
    return found


def _git_revision() -> str:
    """The revision of this source tree, "" where it is not a checkout."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
