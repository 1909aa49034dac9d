"""The floor plan: `docs/architecture.md`, enforced.

Each rule is one test that lists everything that breaks it.
"""

import ast

from tests.support import architecture as house

# From the bottom up; a module imports from its own layer or from below.
LAYERS = [
    {
        "errors",
        "extras",
        "files",
        "flow",
        "catalog",
        "expressions",
        "runs",
    }
    | {"options", "schedules", "runtime"},
    {"ops"},
    {"text", "datasets", "feedback"},
    {"backbones", "importers"},
    {"decoding"},
    {"adapters", "export"},
    {"policies"},
    {"rewards", "algorithms", "tasks"},
    {"training", "callbacks", "evaluation", "report"},
    {"serving", "client", "parity", "online"},
    {"pipelines", house.BENCHMARKS},
    {"cli"},
]
FORBIDDEN = {"utils", "helpers", "common", "misc", "manager", "engine"}
FORBIDDEN |= {"worker", "util", "helper"}
LONGEST_FILE, LONGEST_FUNCTION, MOST_ARGUMENTS = 400, 60, 10
MOST_FILES = 15


def layer(name):
    package, *inside = name.split(".")
    part = inside[0] if package == house.PACKAGE else package
    numbers = [i for i, members in enumerate(LAYERS) if part in members]
    assert len(numbers) == 1, f"give {name} a layer in this test"
    return numbers[0]


def inner():
    return sorted(set(house.modules()) - {house.PACKAGE})


def arrows(name):
    """Modules of ours that a module imports, the package itself aside."""
    return house.ours(house.imports(name)) - {house.PACKAGE}


def test_imports_point_down():
    upward = [
        f"{name} -> {other}"
        for name in inner()
        for other in arrows(name)
        if layer(other) > layer(name)
    ]
    assert not upward


def test_no_cycles():
    done, path, cycles = set(), [], []

    def visit(name):
        if name in path:
            cycles.append(" -> ".join([*path, name]))
            return
        if name in done:
            return
        path.append(name)
        for other in house.ours(house.imports(name, lazy=False)):
            visit(other)
        done.add(path.pop())

    for name in house.modules():
        visit(name)
    assert not cycles


def rooms():
    """Room -> rooms it imports, rooms being the entries at the top."""
    found = {}
    for name in inner():
        if name.startswith(f"{house.PACKAGE}."):
            room = name.split(".")[1]
            others = {n.split(".")[1] for n in arrows(name) if "." in n}
            found.setdefault(room, set()).update(others - {room})
    return found


def test_no_cycles_between_rooms():
    left = rooms()
    while free := [r for r, others in left.items() if not others & set(left)]:
        for room in free:
            del left[room]
    assert not left


def test_members_of_a_family_never_import_each_other():
    families = [p for p in house.packages() if house.is_family(p)]
    assert f"{house.PACKAGE}.rewards" in families
    both = []
    for package in families:
        members = {
            name
            for name in set(house.modules()) - house.packages()
            if name.rpartition(".")[0] == package
            and name.rpartition(".")[2] != "base"
        }
        for name in members:
            siblings = house.imports(name) & (members - {name})
            both += [f"{name} -> {other}" for other in siblings]
    assert not both


def test_the_client_needs_no_tensorflow():
    clients = [n for n in house.modules() if f"{n}.".find(".client.") > 0]
    seen = set().union(*map(house.closure, clients))
    heavy = [
        f"{name} -> {other}"
        for name in seen
        for other in house.imports(name, lazy=False)
        if other.startswith(("tensorflow", "keras"))
    ]
    assert f"{house.PACKAGE}.errors" in seen
    assert not heavy


def test_folders_are_small():
    large = {}
    for package in house.packages():
        folder = house.modules()[package].parent
        count = len(list(folder.glob("*.py"))) - 1
        if count > MOST_FILES and not house.is_family(package):
            large[package] = count
    large.pop(house.BENCHMARKS, None)  # one file per command and its parts
    assert not large


def test_files_are_small():
    large = []
    for name, file in house.modules().items():
        lines = file.read_text("utf-8").splitlines()
        if len(lines) > LONGEST_FILE:
            large.append(f"{name}: {len(lines)} lines")
        large += [f"{name}: {x}" for x in lines if len(x) > 80]
    assert not large


def test_functions_are_small():
    large = []
    for name, file in house.modules().items():
        for node in ast.walk(house.tree(file)):
            if not isinstance(node, ast.FunctionDef):
                continue
            length = node.end_lineno - node.lineno + 1
            length -= len((ast.get_docstring(node) or "").splitlines())
            taken = len(node.args.args) + len(node.args.kwonlyargs)
            taken -= bool(node.args.args and node.args.args[0].arg == "self")
            if length > LONGEST_FUNCTION or taken > MOST_ARGUMENTS:
                large.append(f"{name}.{node.name}: {length} lines, {taken}")
    assert not large


def test_names_say_what_is_inside():
    vague = [n for n in house.modules() if FORBIDDEN & set(n.split("."))]
    assert not vague


def test_what_is_public_is_explained():
    silent = []
    for name, file in house.modules().items():
        module = house.tree(file)
        if not ast.get_docstring(module):
            silent.append(name)
        silent += [
            f"{name}.{member}"
            for member, node in _public(module)
            if not ast.get_docstring(node)
        ]
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
    listed = house.settings()["tool"]["setuptools"]["packages"]
    found = house.packages() - {house.BENCHMARKS}
    assert sorted(found) == sorted(listed) == listed


def test_every_test_mirrors_a_package():
    known = {n.split(".", 1)[1] for n in house.packages() if "." in n}
    known |= {"deployment", "examples", house.BENCHMARKS, "support"}
    known |= {"support.processes"}
    folders = {
        ".".join(file.relative_to(house.ROOT / "tests").parent.parts)
        for file in (house.ROOT / "tests").rglob("*.py")
    }
    assert folders - {""} <= known


def test_the_tree_in_the_docs_is_todays():
    """`python -m tests.support.architecture` writes it."""
    assert house.PAGE.read_text("utf-8") == house.page_with_tree()
