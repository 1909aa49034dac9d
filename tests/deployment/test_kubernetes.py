"""The manifests have the fields and types of the Kubernetes API."""

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType

import cattrs
import cattrs.gen
import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "serving" / "kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
NOT_OBJECTS = {"adapter.yaml"}  # values for a Helm chart


@pytest.fixture(scope="module")
def api():
    """The API's types, generated from its own description.

    They are dataclasses made for the client lightkube, of which they need
    three names and no more.
    """
    schema = ModuleType("lightkube.core.schema")
    schema.dataclass = dataclasses.dataclass
    schema.field = dataclasses.field
    schema.DictMixin = object
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "lightkube.core", ModuleType("core"))
        patch.setitem(sys.modules, schema.__name__, schema)
        yield _structured
        for name in [n for n in sys.modules if n.startswith("lightkube")]:
            patch.delitem(sys.modules, name)


def _structured(document):
    """The document as an object of its kind, which it must fit."""
    converter = cattrs.Converter()
    converter.register_structure_hook_factory(
        dataclasses.is_dataclass, _strictly
    )
    for basic in (str, int, bool):
        converter.register_structure_hook(basic, _exactly)
    for either in (int | str, int | str | None):  # ports and the like
        converter.register_structure_hook(either, _either)
    group, _, version = document["apiVersion"].rpartition("/")
    name = f"{group.split('.')[0] or 'core'}_{version}"
    module = importlib.import_module(f"lightkube.models.{name}")
    return converter.structure(document, getattr(module, document["kind"]))


def _strictly(kind, converter):
    """Fields named after Python's keywords have another name in the API."""
    names = {
        field.name: cattrs.gen.override(rename=field.metadata["json"])
        for field in dataclasses.fields(kind)
        if "json" in field.metadata
    }
    return cattrs.gen.make_dict_structure_fn(
        kind, converter, _cattrs_forbid_extra_keys=True, **names
    )


def _exactly(value, kind):
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _either(value, kind):
    if not isinstance(value, int | str | None):
        raise TypeError(f"{value!r} is neither number nor text")
    return value


def documents(path):
    return list(yaml.safe_load_all(path.read_text("utf-8")))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: p.name)
def test_manifests_fit_the_api(path, api):
    for document in documents(path):
        if path.name not in NOT_OBJECTS:
            assert api(document).metadata.name


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("spec", "replica"), 2),
        (("spec", "strategy", "rollingUpdate", "maxUnavailable"), []),
        (("spec", "replicas"), "two"),
        (("spec", "selector"), []),
        (("spec", "template", "spec", "containers", 0, "ports"), [{}]),
    ],
)
def test_a_mistake_is_found(where, value, api):
    (document,) = documents(FOLDER / "deployment.yaml")
    *path, last = where
    place = document
    for step in path:
        place = place[step]
    place[last] = value
    with pytest.raises(cattrs.errors.BaseValidationError):
        api(document)
