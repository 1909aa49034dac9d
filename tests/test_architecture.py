"""The shape of the house: `docs/architecture.md`, enforced."""

import ast
import functools
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "tf_tokenrl"
BENCHMARKS = "benchmarks"  # beside the package, not shipped with it
LAYERS = [
    {"errors", "flow", "catalog", "quiet", "runs", "distribution"}
    | {"schedules", "exploration", "graphs"},
    {"ops"},
    {"models", "datasets"},
    {"rewards", "algorithms", "tasks"},
    {
        "trainer",
        "update",
        "collection",
        "checkpoint",
        "checks",
        "adam",
        "halves",
    }
    | {"callbacks", "evaluation", "supervised", "samples", "summary"}
    | {"report", "q_learning", "interrupt", "learning_rate", "lessons"}
    | {"kl_loss", "label_scores", "reward_processes", "row_order"}
    | {"self_check"},
    {"serving", "client", "parity", "recorded"},
    {"pipelines", BENCHMARKS},
    {"cli"},
]
FAMILIES = {
    "algorithms": {"base", "parse"},
    "callbacks": {"base"},
    "models.architectures": set(),
    "rewards": {"base", "parse", "checks", "normalization", "placement"},
    "schedules": {"base", "parse"},
    "tasks": {"base"},
}
FORBIDDEN = {"utils", "helpers", "common", "misc", "manager", "engine"}
FORBIDDEN |= {"worker", "util", "helper"}
LONGEST_FILE, LONGEST_FUNCTION, MOST_ARGUMENTS = 400, 60, 10


@functools.cache
def modules():
    """Name -> file of every module, pipelines and benchmarks included."""
    found = {}
    homes = [(name, ROOT / name) for name in (PACKAGE, BENCHMARKS)]
    for name, folder in (*homes, *_outside()):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            parts = [p for p in parts if p != "__init__"]
            found[".".join([name, *parts])] = file
    return found


def _outside():
    given = settings()["tool"]["setuptools"]["package-dir"]
    return [(name, ROOT / folder) for name, folder in given.items()]


@functools.cache
def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@functools.cache
def tree(file):
    return ast.parse(file.read_text("utf-8"))


def imports(name, lazy=True):
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


def _at_import(name):
    """The statements that run when a module is imported."""
    todo = [tree(modules()[name])]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.Lambda):
            todo += ast.iter_child_nodes(node)


def layer(name):
    package, *inside = name.split(".")
    part = inside[0] if package == PACKAGE else package
    numbers = [i for i, members in enumerate(LAYERS) if part in members]
    assert len(numbers) == 1, f"give {name} a layer in this test"
    return numbers[0]


def ours(names):
    packages = f"{PACKAGE}.", f"{BENCHMARKS}."
    return {n for n in names if n.startswith(packages)}


INNER = sorted(set(modules()) - {PACKAGE})


@pytest.mark.parametrize("name", INNER)
def test_imports_point_down(name):
    for other in ours(imports(name)):
        below = layer(other) < layer(name)
        within = layer(other) == layer(name)
        assert below or within, f"{name} imports {other} above it"


def test_no_cycles():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path, name])
        if name in done:
            return
        path.append(name)
        for other in ours(imports(name, lazy=False)):
            visit(other)
        done.add(path.pop())

    for name in modules():
        visit(name)


@pytest.mark.parametrize("family", FAMILIES)
def test_members_of_a_family_never_import_each_other(family):
    package = f"{PACKAGE}.{family}"
    shared = {f"{package}.{name}" for name in FAMILIES[family]}
    members = {n for n in modules() if n.startswith(f"{package}.")} - shared
    assert members
    for name in members:
        siblings = imports(name) & (members - {name})
        assert not siblings, f"{name} imports {siblings}"


def test_the_client_needs_no_tensorflow():
    todo = [n for n in modules() if n.startswith(f"{PACKAGE}.client")]
    seen = set()
    while todo:
        name = todo.pop()
        seen.add(name)
        found = imports(name, lazy=False)
        heavy = {n for n in found if n.startswith(("tensorflow", "keras"))}
        assert not heavy, f"{name} imports {heavy}"
        todo += ours(found) - seen
    assert f"{PACKAGE}.errors" in seen


@pytest.mark.parametrize("name", sorted(modules()))
def test_rooms_are_small(name):
    file = modules()[name]
    lines = file.read_text("utf-8").splitlines()
    assert len(lines) <= LONGEST_FILE
    assert all(len(line) <= 80 for line in lines)
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef):
            length = node.end_lineno - node.lineno + 1
            length -= len((ast.get_docstring(node) or "").splitlines())
            assert length <= LONGEST_FUNCTION, f"{name}.{node.name}"
            taken = len(node.args.args) + len(node.args.kwonlyargs)
            taken -= bool(node.args.args and node.args.args[0].arg == "self")
            assert taken <= MOST_ARGUMENTS, f"{name}.{node.name}"


@pytest.mark.parametrize("name", sorted(modules()))
def test_names_say_what_is_inside(name):
    assert not FORBIDDEN & set(name.split("."))


@pytest.mark.parametrize("name", sorted(modules()))
def test_what_is_public_is_explained(name):
    module = tree(modules()[name])
    assert ast.get_docstring(module), f"{name} has no docstring"
    silent = [n for n, node in _public(module) if not ast.get_docstring(node)]
    assert not silent


def _public(module):
    """Public classes and functions; what a base class explains is not."""
    for node in module.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef):
            continue
        if node.name.startswith("_"):
            continue
        yield node.name, node
        if isinstance(node, ast.ClassDef) and not node.bases:
            for method in node.body:
                if not isinstance(method, ast.FunctionDef):
                    continue
                overload = "overload" in map(ast.unparse, method.decorator_list)
                if not method.name.startswith("_") and not overload:
                    yield f"{node.name}.{method.name}", method


def test_every_package_is_shipped():
    listed = settings()["tool"]["setuptools"]["packages"]
    found = {n for n, file in modules().items() if file.stem == "__init__"}
    found.remove(BENCHMARKS)
    assert sorted(found) == sorted(listed) == listed


def test_every_test_folder_mirrors_a_package():
    known = {n.split(".")[1] for n in INNER if n != BENCHMARKS}
    known |= {"deployment", BENCHMARKS}
    folders = {p.name for p in (ROOT / "tests").iterdir() if p.is_dir()}
    folders = {name for name in folders if not name.startswith(("_", "."))}
    assert folders <= known
