"""Classify and regress requests of the REST API: JSON to `tf.Example`."""

from collections.abc import Mapping
from typing import Any

from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.example.feature_pb2 import Feature
from tensorflow_serving.apis.input_pb2 import Input

from tf_tokenrl.serving.http.rest.inputs import (
    from_base64,
    is_base64,
    kind_of,
)
from tf_tokenrl.serving.http.rest.json_text import shown
from tf_tokenrl.serving.status import invalid


def fill_examples(document: Mapping[str, Any], target: Input) -> None:
    """Write the examples of a request, and what they have in common.

    Args:
        document: the request.
        target: an empty input of a classification or a regression.

    Raises:
        StatusError: see the texts.
    """
    context = "context" in document
    if context:
        _fill(document["context"], target.example_list_with_context.context)
    if "examples" not in document:
        raise _wrong(
            document,
            "When method is classify, key 'examples' is expected and was not "
            "found",
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _wrong(document, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise _wrong(document, "'examples' value is an empty array")
    into = target.example_list_with_context if context else target.example_list
    for example in examples:
        _fill(example, into.examples.add())


def _fill(value, example: Example) -> None:
    if not isinstance(value, dict):
        raise invalid(
            f"Example must be JSON object but got JSON {kind_of(value)}"
        )
    example.SetInParent()
    for name, content in value.items():
        safe = name.encode(errors="surrogateescape").decode(errors="replace")
        feature = example.features.feature[safe]
        for item in content if isinstance(content, list) else [content]:
            _add(item, name, feature)


def _add(value, name: str, feature: Feature) -> None:
    """Put one value into the list of its kind."""
    if isinstance(value, bool):
        _list(feature, "int64_list", name).append(int(value))
    elif isinstance(value, str):
        data = value.encode(errors="surrogateescape")
        _list(feature, "bytes_list", name).append(data)
    elif is_base64(value):
        _list(feature, "bytes_list", name).append(from_base64(value))
    elif isinstance(value, float):
        _list(feature, "float_list", name).append(value)
    elif isinstance(value, int):
        values = _list(feature, "int64_list", name)
        if value >= 2**63:
            raise invalid(
                f"Feature: {name} has uint64_t element. Only int64_t is "
                "supported."
            )
        values.append(value)
    else:
        raise invalid(
            f"Feature: {name} has element with unexpected JSON type: "
            f"{kind_of(value)}"
        )


def _list(feature: Feature, kind: str, name: str):
    """The list of a feature, which has one kind of values only."""
    found = feature.WhichOneof("kind")
    if found not in (None, kind):
        raise invalid(
            f"Unexpected element type in feature: {name} expecting type: "
            f"{found.removesuffix('_list')}"
        )
    return getattr(feature, kind).value


def _wrong(document, text: str):
    return invalid(f"JSON Value: {shown(document)} {text}")
