"""Answers that are JSON, and the JSON that is wanted."""

import functools
import json
from pathlib import Path

import jsonschema
from jsonschema_specifications import REGISTRY
from referencing.exceptions import Unresolvable

from tf_tokenrl.errors import TokenRLError
from tf_tokenrl.flow import Example, Response
from tf_tokenrl.rewards.base import Reward


class JsonSchema(Reward):
    """1 on the last token of an answer that is valid JSON, else 0.

    Attributes:
        schema: a JSON schema as a dictionary, or the path of a file with one;
            None is content with any JSON.

    Source: JSON Schema, draft 2020-12 unless `$schema` names another, as
    checked by the package jsonschema; RFC 8259 for JSON, so that NaN is none.

    Note:
        A `$ref` reaches inside the schema only; nothing is fetched. Patterns
        in a schema are searched without a limit of time: see `regex`.
    """

    def __init__(self, schema: dict | str | None = None):
        self.schema = schema
        self._text = _text(schema)
        self._is_valid({})

    def score(self, example: Example, response: Response) -> float:
        """See `Reward.score`.

        Raises:
            TokenRLError: the schema refers to something outside itself.
        """
        try:
            value = json.loads(response.text, parse_constant=_refuse)
            return float(self._is_valid(value))
        except (ValueError, RecursionError) as error:
            if isinstance(error, TokenRLError):
                raise
            return 0.0  # no JSON, or nested deeper than can be checked

    def _is_valid(self, value) -> bool:
        try:
            return _validator(self._text).is_valid(value)
        except Unresolvable as error:
            raise TokenRLError(
                f"JsonSchema: the schema refers to {error.ref}, which is not "
                "in it; write it into the schema."
            ) from error


@functools.lru_cache(64)
def _validator(text: str):
    try:
        schema = json.loads(text)
        checker = jsonschema.validators.validator_for(
            schema, default=jsonschema.Draft202012Validator
        )
        checker.check_schema(schema)
    except (ValueError, TypeError, jsonschema.SchemaError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise TokenRLError(
            f"JsonSchema: this is no JSON schema: {reason}."
        ) from error
    return checker(schema, registry=REGISTRY)


def _text(schema: dict | str | None) -> str:
    """The schema as JSON, which can be remembered."""
    if not isinstance(schema, str):
        return json.dumps(schema or {}, default=repr)
    try:
        return Path(schema).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise TokenRLError(
            f'JsonSchema: cannot read the schema "{schema}": {error}.'
        ) from error


def _refuse(constant: str):
    raise ValueError(f"{constant} is no JSON")
