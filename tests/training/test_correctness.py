"""`docs/correctness.md` names tests that exist, and every mutation."""

import re

import pytest

from tests.support import mutations

PAGE = (mutations.ROOT / "docs" / "correctness.md").read_text("utf-8")


def test_every_test_that_is_named_exists():
    file = None
    named = re.findall(r"`([\w/]*\.py)?(?:::)?(test_\w+)?`", PAGE)
    found = 0
    for path, test in named:
        if path and path.startswith(("ops/test", "test_")) or "/test_" in path:
            file = mutations.ROOT / "tests" / path
            assert file.is_file(), path
            found += 1
        if test and file:
            assert f"def {test}(" in file.read_text("utf-8"), (path, test)
    assert found > 50


def test_each_has_a_name_and_is_listed():
    names = [mutation.name for mutation in mutations.MUTATIONS]
    assert len(set(names)) == len(names) >= 34
    for mutation in mutations.MUTATIONS:
        test = mutation.test.removeprefix("tests/")
        assert f"| {mutation.name} | `{test}` |" in PAGE


@pytest.mark.parametrize("mutation", mutations.MUTATIONS, ids=lambda m: m.name)
def test_what_is_broken_is_there_once(mutation):
    file = mutations.ROOT / "tf_tokenrl" / mutation.file
    assert file.read_text("utf-8").count(mutation.right) == 1
    path, _, test = mutation.test.partition("[")[0].partition("::")
    assert f"def {test}(" in (mutations.ROOT / path).read_text("utf-8")
