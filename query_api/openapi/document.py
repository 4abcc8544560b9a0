"""The OpenAPI document: what FastAPI knows of the routes, with the schemas of the structs they answer with and of refusals, and the gateway's routes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from query_api.answers import Documented
from query_api.openapi.ingestion import INGESTION_REFUSAL, ingestion_paths
from query_api.openapi.refusal_examples import LANGFUSE, NATIVE
from query_api.refusals import LANGFUSE_PREFIX

DESCRIPTION: Final = """What LLM applications do, taken (`ingestion`) and given back as answers: traces, observations and scores as the Langfuse API gives them (below `/api/public`),
and tracemill's own questions (below `/v1`): call trees, windows, budgets, alerts, webhooks.

The credential is a project's key pair, as HTTP Basic; it decides which project is asked. Costs are US dollars: JSON numbers below `/api/public`, exact
decimal strings below `/v1`. Times are ISO 8601 in UTC. Every query is bounded, and one that reaches a bound is answered with 422. Two answers may be
shortened instead, and say so in `truncated`: call trees, and the ids that a list of traces names.
"""

_NATIVE_REFUSAL: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": "string", "description": "The parameter or field that is wrong."},
                "allowed": {"type": "array", "items": {"type": "string"}},
            },
        }
    },
}
_LANGFUSE_REFUSAL: Final = {
    "type": "object",
    "required": ["message", "error"],
    "properties": {
        "message": {"type": "string"},
        "error": {"description": "A name, or the list of issues of a malformed request."},
    },
}
_NATIVE_REASONS: Final = {
    "400": "Unreadable JSON.",
    "401": "No credential, or none of ours.",
    "403": "A public key alone may not do this.",
    "404": "Not in this project.",
    "408": "The body took too long to arrive.",
    "409": "The state of the project forbids it.",
    "413": "The body is too large.",
    "422": "A parameter or field is wrong, or the query is too costly.",
    "431": "The headers or the address are too large, or too many.",
    "503": "A dependency does not answer; `Retry-After` says when to ask again.",
}
_LANGFUSE_REASONS: Final = _NATIVE_REASONS | {
    "400": "Invalid request data.",
    "422": "The query is too costly.",
}
_OPEN: Final = frozenset({"/api/public/health", "/api/public/ready"})
_OPEN_REASONS: Final = ("400", "408", "413", "431", "503")
"""Statuses that any path may answer, also without credentials."""
_OF_THE_SERVER: Final = frozenset({"431"})
"""Statuses that are answered before the path is known, in one form on both surfaces."""


def install_openapi(app: FastAPI, documented: Documented) -> None:
    """Let ``app`` describe itself; the document is made once, when first asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, documented)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, documented: Documented) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "projectKey": {"type": "http", "scheme": "basic", "description": "publicKey:secretKey"}
    }
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(documented.schemas())
    schemas["Refusal"] = _NATIVE_REFUSAL
    schemas["LangfuseRefusal"] = _LANGFUSE_REFUSAL
    schemas["IngestionRefusal"] = INGESTION_REFUSAL
    for path, operations in document["paths"].items():
        for operation in operations.values():
            documented.put_examples(operation)
            _show_body(operation, schemas)
            _complete(path, operation)
    for path, operations in ingestion_paths().items():
        document["paths"].setdefault(path, {}).update(operations)
    return document


def _show_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A body's example stands in its schema, where few tools look for it."""
    body = operation.get("requestBody")
    if body is not None:
        content = body["content"]["application/json"]
        (content["example"],) = schemas[content["schema"]["$ref"].rpartition("/")[2]]["examples"]


def _complete(path: str, operation: dict[str, Any]) -> None:
    """What every route may also answer, and the credential it needs."""
    langfuse = path.startswith(LANGFUSE_PREFIX)
    name = "LangfuseRefusal" if langfuse else "Refusal"
    schema = {"$ref": f"#/components/schemas/{name}"}
    examples = LANGFUSE if langfuse else NATIVE
    responses = operation["responses"]
    responses.pop("422", None)
    reasons = _LANGFUSE_REASONS if langfuse else _NATIVE_REASONS
    if path in _OPEN:
        operation["security"] = []
        reasons = {status: reasons[status] for status in _OPEN_REASONS}
    else:
        operation["security"] = [{"projectKey": []}]
    for status, reason in reasons.items():
        content = {"schema": schema, "example": examples[status]}
        if status in _OF_THE_SERVER:
            content["schema"] = {"$ref": "#/components/schemas/LangfuseRefusal"}
        refusal = {"description": reason, "content": {"application/json": content}}
        responses.setdefault(status, refusal)
