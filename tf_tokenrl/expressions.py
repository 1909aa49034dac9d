"""One grammar for rewards, schedules, algorithms, KL losses and exploration.

    sum       = product (("+" | "-") product)*
    product   = value ("*" value)*
    value     = number | member | "-" value | "(" sum ")"
    member    = name, or name(arguments); a class of the user's own is quoted,
                as in 'my_module:Class'(weight=2)
    arguments = as in Python: in order, then by name; a literal, or an
                expression where the parameter's annotation names a family

Python's own parser reads it, and nothing is evaluated. Every mistake is
placed at its character.
"""

import ast
import contextlib
import functools
import inspect
import operator
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from tf_tokenrl import catalog
from tf_tokenrl.errors import TokenRLError, unknown


class Family(NamedTuple):
    """Classes that an expression may name.

    Attributes:
        noun: what a member is called, "reward".
        package: whose modules are the members.
        kind: the class that all members derive from.
        get: builds a member from its name, arguments and options.
        functions: whether a plain function of the user's own is one too.
    """

    noun: str
    package: ModuleType
    kind: type
    get: Callable[..., Any]
    functions: bool = False


class Language(NamedTuple):
    """What an expression may hold.

    Attributes:
        noun: what the whole is called in messages.
        families: of the members, that of the whole first.
        rule: what joins values, said where something else is tried.
    """

    noun: str
    families: tuple[Family, ...]
    rule: str = "name one, with its options in brackets"


def parse(expression: str, language: Language) -> Any:
    """The member of the first family that an expression describes.

    Raises:
        TokenRLError: it cannot be read, or stands for something else; the
            message says at which character.
    """
    found = value(expression, language)
    if not isinstance(found, language.families[0].kind):
        reader = _Reader.of(expression, language)
        noun = _with_article(language.noun)
        raise reader.error(0, f"this is a number, not {noun}")
    return found


def value(expression: str, language: Language) -> Any:
    """The member or the number that an expression stands for.

    Raises:
        TokenRLError: see `parse`.
    """
    reader = _Reader.of(expression, language)
    return reader.value(reader.tree(), language.families)


def call(
    expression: str, cls: type, language: Language, names: Mapping[str, str]
) -> Any:
    """Build `cls` from arguments alone, such as "k3, weight=0.1".

    Args:
        expression: the arguments; or a name, or a name with arguments in
            brackets.
        cls: what is built.
        language: of the arguments.
        names: such names, and the argument that each stands for, "" for none.

    Raises:
        TokenRLError: see `parse`.
    """
    text = expression.strip()
    name, bracket, rest = text.partition("(")
    if (name := name.strip()) in names and (not bracket or rest.endswith(")")):
        text = ", ".join(filter(None, [names[name], rest[:-1].strip()]))
    reader = _Reader.of(text, language, call=True)
    node = reader.tree()
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "_":
        raise reader.error(0, language.rule)
    arguments, options = reader.arguments(cls, node)
    made = functools.partial(catalog.build, language.noun, cls)
    return reader.apply(node, made, arguments, options)


class _Reader:
    """Walks the syntax tree of one expression and places its mistakes."""

    def __init__(
        self, source: str, indent: int, language: Language, call: bool
    ):
        self.source = source
        self.indent = indent
        self.language = language
        # Arguments are read as those of a call to `_`.
        self.before, self.after = ("_(", ")") if call else ("", "")

    @classmethod
    def of(cls, expression: str, language: Language, call: bool = False):
        """The reader of an expression, which may have several lines."""
        line = " ".join(expression.splitlines())
        source = line.strip()
        indent = len(line) - len(line.lstrip())
        return cls(source, indent, language, call)

    def tree(self) -> ast.expr:
        """The syntax tree."""
        text = f"{self.before}{self.source}{self.after}"
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            offset = getattr(error, "offset", None) or len(text) + 1
            place = min(max(offset - 1 - len(self.before), 0), len(self.source))
            raise self.error(place, f"{error.args[0]}") from error

    def value(self, node: ast.expr, families: Sequence[Family]) -> Any:
        """The member or the number that `node` stands for."""
        match node:
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int() | float() as number):
                if abs(number) > sys.float_info.max:
                    raise self.error(node, "a weight must be finite")
                return number
            case ast.Name() | ast.Constant(value=str()):
                return self.member(node, node, families)
            case ast.Call(func=ast.Name() | ast.Constant(value=str())):
                return self.member(node, node.func, families)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.value(operand, families)
                return self.apply(node, operator.neg, inner)
            case ast.BinOp(left=left, op=op, right=right):
                if type(op) not in _OPERATORS:
                    raise self.error(node, "only +, - and * join values")
                sides = [self.value(side, families) for side in (left, right)]
                return self.apply(node, _OPERATORS[type(op)], *sides)
        wish = _with_article(families[0].noun)
        raise self.error(node, f"expected {wish} or a number")

    def member(self, node: ast.expr, name, families: Sequence[Family]) -> Any:
        """What a name and its arguments make."""
        path = name.id if isinstance(name, ast.Name) else name.value
        family, found = self.apply(name, _find, path, families)
        call = node if isinstance(node, ast.Call) else ast.Call(name, [], [])
        arguments, options = self.arguments(found, call)
        return self.apply(node, family.get, path, *arguments, **options)

    def arguments(self, found: Any, node: ast.Call) -> tuple[list, dict]:
        """What stands in the brackets behind a class or a function."""
        known = _parameters(found)
        ordered = [p for p in known if p.kind is p.POSITIONAL_OR_KEYWORD]
        for extra in node.args[len(ordered) :]:
            names = ", ".join(p.name for p in known) or "none"
            raise self.error(
                extra, f"write options by name; there are: {names}"
            )
        arguments = [
            self.option(part, parameter)
            for part, parameter in zip(node.args, ordered, strict=False)
        ]
        taken = {parameter.name for parameter in ordered[: len(arguments)]}
        by_name = {parameter.name: parameter for parameter in known}
        options = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error(keyword.value, "write options by name")
            if keyword.arg in taken:
                raise self.error(keyword.value, f"{keyword.arg} is there twice")
            parameter = by_name.get(keyword.arg) or _unannotated(keyword.arg)
            options[keyword.arg] = self.option(keyword.value, parameter)
        return arguments, options

    def option(self, node: ast.expr, parameter: inspect.Parameter) -> Any:
        """A literal, or an expression where the annotation allows one."""
        annotation, name = parameter.annotation, parameter.name
        if typing.get_origin(annotation) is typing.Literal:
            return self.choice(node, name, typing.get_args(annotation))
        known = self.language.families
        wanted = [f for f in known if _mentions(annotation, f.kind)]
        only = any(annotation in (f.kind, f.kind.__name__) for f in wanted)
        if not only:
            with contextlib.suppress(TypeError, ValueError, RecursionError):
                return ast.literal_eval(node)
        if not wanted:
            problem = f'option "{name}" must be a literal, such as 3 or "l"'
            raise self.error(node, problem)
        others = [f for f in known if f not in wanted]
        found = self.value(node, [*wanted, *others])
        kinds = tuple(f.kind for f in wanted) + (() if only else (int, float))
        if not isinstance(found, kinds):
            found = "a number" if isinstance(found, int | float) else f"{found}"
            wish = _with_article(wanted[0].noun)
            raise self.error(node, f"expected {wish}, not {found}")
        return found

    def choice(self, node: ast.expr, name: str, choices: tuple) -> Any:
        """One of the values of a `Literal`; a text needs no quotes."""
        text = ast.unparse(node)
        found = node.id if isinstance(node, ast.Name) else text
        with contextlib.suppress(TypeError, ValueError):
            found = ast.literal_eval(node)
        if found in choices:
            return found
        raise self.error(node, f"{unknown(name, text, map(str, choices))}")

    def apply(self, node: ast.expr, function, *values, **options) -> Any:
        """A function of values, whose errors are placed at a node."""
        try:
            return function(*values, **options)
        except TokenRLError as error:
            raise self.error(node, f"{error}") from error
        except TypeError as error:
            raise self.error(node, self.language.rule) from error

    def error(self, place: ast.expr | int, problem: str) -> TokenRLError:
        """The error at a node or a character of the source."""
        if not isinstance(place, int):
            # ast counts bytes of UTF-8, people count characters.
            before = (self.before + self.source).encode()[: place.col_offset]
            place = max(len(before.decode()) - len(self.before), 0)
        return TokenRLError(
            f"Cannot read the {self.language.noun} `{self.source}` at "
            f"character {self.indent + place + 1}: {problem.rstrip('.')}."
        )


_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _find(path: str, families: Sequence[Family]) -> tuple[Family, Any]:
    """The family that has the name, and what is called so."""
    if ":" in path:
        found = catalog.find(families[0].package, path)
        for family in families:
            if isinstance(found, type) and issubclass(found, family.kind):
                return family, found
        if isinstance(found, type) or not families[0].functions:
            families[0].get(path)  # says what it is not
        return families[0], found
    for family in families:
        if path in catalog.names(family.package):
            return family, catalog.find(family.package, path)
    return families[0], catalog.find(families[0].package, path)


def _parameters(found: Any) -> list[inspect.Parameter]:
    """The options of a class, or of a function that scores two rows."""
    try:
        known = list(inspect.signature(found).parameters.values())
    except (TypeError, ValueError):
        return []
    if not isinstance(found, type):
        known = [p.replace(kind=p.KEYWORD_ONLY) for p in known[2:]]
    return [p for p in known if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]


def _with_article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _unannotated(name: str) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)


def _mentions(annotation: Any, kind: type) -> bool:
    """Whether an annotation lets values of a class in; none lets all in."""
    if annotation is inspect.Parameter.empty:
        return True
    if isinstance(annotation, str):
        return re.search(rf"\b{kind.__name__}\b", annotation) is not None
    return kind in (annotation, *typing.get_args(annotation))
