"""Private names of other libraries that this one uses, found in its sources."""

import ast

from tests.support import architecture as house

# `self._x = ...` defines a name of ours; so does `policy._x = ...`.
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
OURS = ("self", "cls", "policy")
# Public in spite of its underscore is what NamedTuples offer.
PUBLIC = {"_asdict", "_fields", "_make", "_replace"}


def used() -> dict[str, set[str]]:
    """Private name -> our modules that use it."""
    trees = {
        name: house.tree(file)
        for name, file in house.modules().items()
        if not name.startswith(house.BENCHMARKS)
    }
    own = {name for tree in trees.values() for name in _defined(tree)}
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        for name in _private(tree) - own - PUBLIC:
            found.setdefault(name, set()).add(module)
    return found


def _defined(tree: ast.Module):
    """Private names that a module of ours defines."""
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute):
            owner = getattr(node.value, "id", "")
            if isinstance(node.ctx, ast.Store) and owner in OURS:
                yield node.attr


def _private(tree: ast.Module) -> set[str]:
    """Private attributes, modules and symbols that a module reads."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if _is_private(node.attr):
                found.add(node.attr)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if ".python." in f"{node.module}." or "._" in node.module:
                found |= {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Call | ast.Subscript):
            # What `getattr` or a C library is asked for by its name.
            found |= {c.value for c in _asked(node) if _is_private(c.value)}
    return found


def _asked(node: ast.Call | ast.Subscript) -> list[ast.Constant]:
    if isinstance(node, ast.Subscript):
        given = [node.slice]
    else:
        is_getattr = getattr(node.func, "id", "") == "getattr"
        given = node.args[1:2] if is_getattr else []
    return [
        x
        for x in given
        if isinstance(x, ast.Constant) and isinstance(x.value, str)
    ]


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"
