"""Build the OpenAPI document from FastAPI's, the structs of responses and the gateway's routes."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from producers.control.scopes import Scope
from query_api.error_responses import LANGFUSE_PREFIX
from query_api.openapi.error_examples import LANGFUSE, NATIVE
from query_api.openapi.ingestion import INGESTION_REFUSAL, ingestion_paths
from query_api.responses import Documented
from query_api.scopes import scopes_of

DESCRIPTION: Final = """Ingest traces of LLM applications (`ingestion`), and query traces,
observations and scores with the Langfuse API (below `/api/public`) and call trees, windows,
budgets, alerts and webhooks with tracemill's own API (below `/v1`).

Requests are authenticated with a project's key pair (HTTP Basic), which determines the project. The
scopes of the key determine what is allowed: `ingest`, `scores`, `read` (GET), `write` (other
methods), `admin` (keys). The admin key of the installation (`Bearer`, or the password of the user
`admin`) manages projects and cannot read traces.

Costs are US dollars: JSON numbers below `/api/public`, exact decimal strings below `/v1`. Times are
ISO 8601 in UTC. Queries are limited; one that reaches a limit gets 422. Two responses are truncated
instead, and marked with `truncated`: call trees, and the ids in lists of traces.
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
                "field": {"type": "string", "description": "The invalid parameter or field."},
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
    "400": "Invalid JSON.",
    "401": "No credential, or an unknown one.",
    "404": "The project has no such object.",
    "408": "The body took too long to arrive.",
    "409": "The request conflicts with the project's current records.",
    "413": "The body is too large.",
    "422": "A parameter or field is invalid, or the query is too costly.",
    "431": "The headers or the address are too large, or too many.",
    "503": "A dependency does not respond; retry after `Retry-After` seconds.",
}
_LANGFUSE_REASONS: Final = _NATIVE_REASONS | {
    "400": "Invalid request data.",
    "422": "The query is too costly.",
}
_OPEN_REASONS: Final = ("400", "408", "413", "431", "503")
"""Statuses that every path may return, also without credentials."""
_OF_PROJECT_ADMINS: Final = frozenset({"/v1/protected-labels"})
"""Paths that the admin key of the installation cannot use, because it belongs to no project."""
_OF_THE_SERVER: Final = frozenset({"431"})
"""Statuses that are returned before routing, in one format for both APIs."""


def install_openapi(app: FastAPI, documented: Documented) -> None:
    """Install the OpenAPI document of ``app``, which is built on the first request."""

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
        "projectKey": {"type": "http", "scheme": "basic", "description": "publicKey:secretKey"},
        "adminKey": {"type": "http", "scheme": "bearer", "description": "The admin key."},
    }
    schemas = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(documented.schemas())
    schemas["Refusal"] = _NATIVE_REFUSAL
    schemas["LangfuseRefusal"] = _LANGFUSE_REFUSAL
    schemas["IngestionRefusal"] = INGESTION_REFUSAL
    scopes = {(route.path_format, method.lower()): found for route, method, found in scopes_of(app)}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            documented.put_examples(operation)
            _show_body(operation, schemas)
            _complete(path, operation, scopes[path, method])
    for path, operations in ingestion_paths().items():
        document["paths"].setdefault(path, {}).update(operations)
    return document


def _show_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Copy a body's example from its schema, because few tools read examples of schemas."""
    body = operation.get("requestBody")
    if body is not None:
        content = body["content"]["application/json"]
        content["example"], *_ = schemas[content["schema"]["$ref"].rpartition("/")[2]]["examples"]


def _complete(path: str, operation: dict[str, Any], scopes: tuple[Scope, ...]) -> None:
    """Add the responses that every route may return, and its credential."""
    langfuse = path.startswith(LANGFUSE_PREFIX)
    name = "LangfuseRefusal" if langfuse else "Refusal"
    schema = {"$ref": f"#/components/schemas/{name}"}
    examples = LANGFUSE if langfuse else NATIVE
    responses = operation["responses"]
    responses.pop("422", None)
    reasons = _LANGFUSE_REASONS if langfuse else _NATIVE_REASONS
    if not scopes:
        operation["security"] = []
        reasons = {status: reasons[status] for status in _OPEN_REASONS}
    else:
        is_shared = "admin" in scopes and path not in _OF_PROJECT_ADMINS
        keys = ["adminKey", "projectKey"] if is_shared else ["projectKey"]
        operation["security"] = [{key: []} for key in keys]
        needed = " or ".join(f"`{scope}`" for scope in scopes)
        reasons = reasons | {"403": f"The credential lacks the scope {needed}."}
    for status, reason in reasons.items():
        content = {"schema": schema, "example": examples[status]}
        if status in _OF_THE_SERVER:
            content["schema"] = {"$ref": "#/components/schemas/LangfuseRefusal"}
        refusal = {"description": reason, "content": {"application/json": content}}
        responses.setdefault(status, refusal)
