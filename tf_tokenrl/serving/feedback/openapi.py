"""The description of the HTTP API, made of the records themselves."""

from typing import Any

from pydantic.json_schema import models_json_schema

from tf_tokenrl import __version__
from tf_tokenrl.feedback import Answer, Judgement, Receipt
from tf_tokenrl.feedback.remote import PATH

_STATUS = {
    "200": "Every record is stored, or was there already.",
    "207": "The records have different fates: see `status` of each.",
    "400": "The body is not JSON, or not a list of objects.",
    "401": "The API token is missing or wrong.",
    "403": "A page of another site asks.",
    "409": "A key is taken by other contents.",
    "413": "The body is too long, or has too many records.",
    "415": "The body is not application/json.",
    "422": "A record is refused: see `reason`.",
    "429": "Too many records: wait for Retry-After seconds.",
    "503": "The store failed, and nothing was stored: try again.",
}


def description(most_records: int, token: bool) -> dict[str, Any]:
    """The API as OpenAPI 3.1.

    Args:
        most_records: of one request.
        token: whether a bearer token is asked for.
    """
    _, found = models_json_schema(
        [(Answer, "validation"), (Judgement, "validation")],
        ref_template="#/components/schemas/{model}",
    )
    schemas = found["$defs"] | {"Receipt": _receipt()}
    either = [_reference("Answer"), _reference("Judgement")]
    body = {"type": "array", "maxItems": most_records}
    operation: dict[str, Any] = {
        "operationId": "append",
        "summary": "Add answers and judgements",
        "description": "Records are kept by their keys: sending one again "
        "stores it once. A judgement may follow its answer in one request.",
        "requestBody": _json(body | {"items": {"anyOf": either}}),
        "responses": {
            status: {"description": text} | _content(status)
            for status, text in _STATUS.items()
        },
    }
    if token:
        operation["security"] = [{"token": []}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Feedback", "version": __version__},
        "paths": {PATH: {"post": operation}},
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _receipt() -> dict[str, Any]:
    status = {"enum": ["stored", "duplicate", "conflict", "refused"]}
    text = {"type": "string"}
    return {
        "type": "object",
        "description": (Receipt.__doc__ or "").partition("\n")[0],
        "properties": {"key": text, "status": status, "reason": text},
        "required": ["key", "status", "reason"],
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _content(status: str) -> dict[str, Any]:
    if status in ("200", "207", "409", "422"):
        results = {"type": "array", "items": _reference("Receipt")}
        schema = {"type": "object", "properties": {"results": results}}
    else:
        error = {"error": {"type": "string"}}
        schema = {"type": "object", "properties": error}
    return _json(schema)
