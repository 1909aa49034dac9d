"""The modules of this repository as data, and the tree in the docs.

    python -m tests.support.architecture

writes the tree of `docs/architecture.md` from the first lines of the modules.
"""

import ast
import functools
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "tf_tokenrl"
BENCHMARKS = "benchmarks"  # beside the package, not shipped with it
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- tree: begin -->\n", "<!-- tree: end -->\n"


@functools.cache
def modules() -> dict[str, Path]:
    """Name -> file of every module, pipelines and benchmarks included."""
    found = {}
    for name, folder in _homes():
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = [p for p in parts if p != "__init__"]
            found[".".join([name, *parts])] = file
    return found


def packages() -> set[str]:
    """Names of the packages among the modules."""
    return {n for n, file in modules().items() if file.stem == "__init__"}


@functools.cache
def settings() -> dict:
    """What `pyproject.toml` says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@functools.cache
def tree(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(file.read_text("utf-8"))


def first_line(file: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(tree(file)) or "").partition("\n")[0]


def is_family(package: str) -> bool:
    """Whether a package's first line calls it a family of members."""
    return "one file per" in first_line(modules()[package])


def imports(name: str, lazy: bool = True) -> set[str]:
    """Modules that module `name` imports, in functions too if `lazy`."""
    found = set()
    nodes = ast.walk(tree(modules()[name])) if lazy else _at_import(name)
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                found.add(member if member in modules() else node.module)
    return found


def closure(name: str) -> set[str]:
    """All modules of ours that importing module `name` loads."""
    todo, seen = [name], set()
    while todo:
        seen.add(current := todo.pop())
        todo += ours(imports(current, lazy=False)) - seen
    return seen


def ours(names: set[str]) -> set[str]:
    """Those of `names` that are modules of this repository."""
    return names & set(modules())


def tree_of_docs() -> str:
    """The tree as `docs/architecture.md` shows it."""
    lines = []
    for _, folder in sorted(_homes()):
        lines += _folder(folder, 0)
    return "\n".join(["```", *lines, "```", ""])


def page_with_tree() -> str:
    """The page as it should be."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return before + BEGIN + tree_of_docs() + END + after


def _homes() -> list[tuple[str, Path]]:
    given = settings()["tool"]["setuptools"]["package-dir"]
    homes = [(name, ROOT / name) for name in (PACKAGE, BENCHMARKS)]
    return [*homes, *((name, ROOT / place) for name, place in given.items())]


def _folder(folder: Path, depth: int) -> list[str]:
    lines = [_line(f"{folder.name}/", folder / "__init__.py", depth)]
    for file in sorted(folder.glob("*.py")):
        if file.stem != "__init__":
            lines.append(_line(file.name, file, depth + 1))
    for inner in sorted(folder.iterdir()):
        if (inner / "__init__.py").exists() or any(inner.glob("*.py")):
            lines += _folder(inner, depth + 1)
    return lines


def _line(name: str, file: Path, depth: int) -> str:
    text = first_line(file) if file.exists() else ""
    return f"{'  ' * depth + name:34} {text}".rstrip()


def _at_import(name: str):
    """The statements that run when a module is imported."""
    todo: list[ast.AST] = [tree(modules()[name])]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)


if __name__ == "__main__":
    PAGE.write_text(page_with_tree(), "utf-8")
