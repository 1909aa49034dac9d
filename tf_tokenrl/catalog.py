"""From a name to a class: a family's directory is its registry.

`rewards/token_f1.py` holds `TokenF1` and is called "token_f1". A class of the
user's own is called "module:Class".
"""

import ast
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tf_tokenrl.errors import TokenRLError, unknown

# Every other file of a family is a member; what they share has a folder.
_NOT_MEMBERS = {"base"}


def names(family: ModuleType) -> list[str]:
    """The registry names of the members of a family (a package)."""
    modules = pkgutil.iter_modules(family.__path__)
    return sorted(
        m.name for m in modules if not m.ispkg and m.name not in _NOT_MEMBERS
    )


def find(family: ModuleType, name: str) -> type:
    """The class called `name` in a family, or a user's "module:Class".

    Raises:
        TokenRLError: there is no such name, module or class.
    """
    if ":" in name:
        return _user_class(name)
    kind = family.__name__.rpartition(".")[2].removesuffix("s")
    if name not in names(family):
        raise unknown(kind, name, names(family))
    module = importlib.import_module(f"{family.__name__}.{name}")
    return getattr(module, class_name(name))


def create(family: ModuleType, name: str, /, *arguments, **options):
    """Build the member called `name` with arguments and options.

    Raises:
        TokenRLError: unknown name, or an option the class does not take.
    """
    return build(name, find(family, name), arguments, options)


def build(
    name: str,
    cls: Callable[..., Any],
    arguments: Sequence[Any] = (),
    options: Mapping[str, Any] | None = None,
) -> Any:
    """Call a class, and say which options there are where one is not.

    Raises:
        TokenRLError: an option the class does not take, or one is missing.
    """
    options = options or {}
    known = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
    for option in options:
        if option not in known and not open_ended:
            if known:
                raise unknown(f"option of {name}", option, known)
            raise TokenRLError(
                f'"{name}" takes no options, so "{option}" has to go.'
            )
    try:
        return cls(*arguments, **options)
    except TypeError as error:
        raise TokenRLError(f'Cannot build "{name}": {error}.') from error


def path(cls: type, package: str) -> str:
    """How `find` finds a class of the family `package`, quoted if it must."""
    home, _, member = cls.__module__.rpartition(".")
    if home == package:
        return member
    return repr(f"{cls.__module__}:{cls.__qualname__}")


def expression(instance: object, package: str) -> str:
    """The call that builds `instance` again, as "linear(start=0, end=1)".

    Every argument of its constructor must be an attribute of that name.
    """
    parameters = inspect.signature(type(instance)).parameters
    options = ", ".join(
        f"{name}={getattr(instance, name)!r}"
        for name in parameters
        if hasattr(instance, name)
    )
    return f"{path(type(instance), package)}({options})"


def summaries(family: str) -> dict[str, str]:
    """Name -> first line of the file, of a family by name; imports none."""
    found = {}
    for name, file in _sources(family).items():
        page = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        found[name] = page.partition("\n")[0]
    return found


def explained(family: str, name: str) -> str:
    """How a member is written and what its class says; imports nothing.

    Raises:
        TokenRLError: there is no such member.
    """
    sources = _sources(family)
    if name not in sources:
        raise unknown(family.removesuffix("s"), name, sources)
    body = ast.parse(sources[name].read_text("utf-8")).body
    cls = next(
        node
        for node in body
        if isinstance(node, ast.ClassDef) and node.name == class_name(name)
    )
    return f"{name}({_options(cls)})\n\n{ast.get_docstring(cls) or ''}"


def _options(cls: ast.ClassDef) -> str:
    """The options of a class with their defaults, as its source has them."""
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return ast.unparse(node.args).partition(", ")[2]
    fields = [node for node in cls.body if isinstance(node, ast.AnnAssign)]
    return ", ".join(ast.unparse(field) for field in fields)


def _sources(family: str) -> dict[str, Path]:
    package = f"{__name__.rpartition('.')[0]}.{family}"
    spec = importlib.util.find_spec(package)  # does not run the package
    places = (spec and spec.submodule_search_locations) or ()
    files = [f for p in places for f in sorted(Path(p).glob("[!_]*.py"))]
    return {f.stem: f for f in files if f.stem not in _NOT_MEMBERS}


def class_name(name: str) -> str:
    """ "token_f1" -> "TokenF1"."""
    return "".join(part.capitalize() for part in name.split("_"))


def _user_class(name: str) -> type:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ImportError, TypeError, ValueError) as error:
        raise TokenRLError(
            f'Cannot import module "{module_name}" of "{name}": {error}. '
            "Is it on PYTHONPATH?"
        ) from error
    if not hasattr(module, attribute):
        raise TokenRLError(
            f'Module "{module_name}" has no "{attribute}" (from "{name}").'
        )
    return getattr(module, attribute)
