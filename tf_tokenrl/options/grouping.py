"""Flat options as nested ones, which the command line and files show."""

import dataclasses
import functools
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import docstring_parser
import tyro

from tf_tokenrl.options.checking import Options, group_of, hints


@functools.cache
def nested(cls: Any) -> Any:
    """A dataclass with the options of `cls`, those of a group in one field."""
    explained = {
        part.arg_name: " ".join((part.description or "").split())
        for part in docstring_parser.parse(cls.__doc__ or "").params
    }
    plain: list[tuple[str, Any]] = []
    groups: dict[Any, list[tuple[str, Any]]] = {}
    for field in dataclasses.fields(cls):
        hint = hints(cls)[field.name]
        group = group_of(hint)
        if _is_options(hint):
            hint = nested(hint)
        made = (field.name, _shown(hint, explained.get(field.name)))
        if group:
            groups.setdefault(group, []).append(made)
        else:
            plain.append(made)
    for group, fields in groups.items():
        inner = dataclasses.make_dataclass(group.name, fields, frozen=True)
        inner.__doc__ = group.title
        plain.append((group.name, inner))
    outer = dataclasses.make_dataclass(cls.__name__, plain, frozen=True)
    outer.__doc__ = (cls.__doc__ or "").partition("\n")[0]
    return outer


def _shown(hint: Any, explanation: str | None) -> Any:
    """An option as tyro is to show and to read it.

    A choice is read as a word, so that `checking.check` refuses a wrong one
    in a sentence with the nearest right one; `--help` shows the choices.
    """
    # Annotated flattens: what stands inside is the type itself.
    kind, *marks = (
        typing.get_args(hint)
        if typing.get_origin(hint) is Annotated
        else (hint,)
    )
    metavar = None
    if typing.get_origin(kind) is Literal:
        names = typing.get_args(kind)
        if all(isinstance(name, str) for name in names):
            kind, metavar = str, "{" + ",".join(names) + "}"
    text = tyro.conf.arg(help=explanation, metavar=metavar)
    return Annotated[(kind, *marks, text)]


def nest(options: Any) -> Any:
    """Options as an instance of their `nested` class."""
    cls: Any = type(options)
    values: dict[str, Any] = {}
    groups: dict[str, dict] = {}
    for name, hint in hints(cls).items():
        value = getattr(options, name)
        value = nest(value) if _is_options(hint) else value
        group = group_of(hint)
        (groups.setdefault(group.name, {}) if group else values)[name] = value
    made = nested(cls)
    types: dict[str, Any] = {f.name: f.type for f in dataclasses.fields(made)}
    for name, inner in groups.items():
        values[name] = types[name](**inner)
    return made(**values)


def flatten(value: Any, cls: type) -> Any:
    """What `nest` gave, as options of `cls` again.

    Raises:
        TokenRLError: a value does not fit.
    """
    values = {}
    for name, hint in hints(cls).items():
        group = group_of(hint)
        found = getattr(getattr(value, group.name) if group else value, name)
        values[name] = flatten(found, hint) if _is_options(hint) else found
    return cls(**values)


def flat_values(values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """The values of a file, whose groups may be nested, by flat names."""
    found: dict[str, Any] = {}
    groups = {g.name for g in map(group_of, hints(cls).values()) if g}
    for name, value in values.items():
        name = name.replace("-", "_")
        hint = hints(cls).get(name)
        if name in groups and isinstance(value, Mapping) and hint is None:
            found |= flat_values(value, cls)
        elif hint and _is_options(hint) and isinstance(value, Mapping):
            found[name] = flat_values(value, hint)
        else:
            found[name] = value
    return found


def nested_values(values: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Flat values by their groups, for people to read."""
    plain: dict[str, Any] = {}
    groups: dict[str, dict] = {}
    for name, hint in hints(cls).items():
        value = values[name]
        if _is_options(hint):
            value = nested_values(value, hint)
        group = group_of(hint)
        (groups.setdefault(group.name, {}) if group else plain)[name] = value
    return plain | groups


def _is_options(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Options)
