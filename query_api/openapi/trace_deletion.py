"""Describe the gateway's routes that delete traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

_TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 800}
_DESCRIPTION: Final = (
    "Requires the scope `write`. Traces are deleted with their observations within seconds: totals,"
    " windows, rollups, spend and budgets no longer count them. Their scores are deleted, and their"
    " texts are erased later. Events of a deleted trace that"
    " arrive in the next seven days (`TRACEMILL_STREAMS_DELETED_TRACE_MEMORY_H`) are dropped."
    " Unknown traces are accepted."
)

Operation = Callable[[str, str, dict[str, Any]], dict[str, Any]]


def trace_deletion_paths(operation: Operation) -> dict[str, dict[str, Any]]:
    """Return path items; ``operation`` completes a description."""
    return {
        "/api/public/traces/{traceId}": {
            "delete": operation("Delete a trace", "delete_trace_langfuse", _one())
        },
        "/api/public/traces": {
            "delete": operation("Delete traces", "delete_traces_langfuse", _several("traceIds"))
        },
        "/v1/traces/{traceId}": {"delete": operation("Delete a trace", "delete_trace", _one())},
        "/v1/traces": {
            "delete": operation("Delete traces", "delete_traces", _several("trace_ids"))
        },
    }


def _one() -> dict[str, Any]:
    return {
        "parameters": [
            {
                "name": "traceId",
                "in": "path",
                "required": True,
                "schema": _TEXT | {"examples": [_TRACE_ID]},
            }
        ],
        "responses": {"200": _accepted("Trace deleted successfully")},
        "description": _DESCRIPTION,
    }


def _several(field: str) -> dict[str, Any]:
    ids = {"type": "array", "items": _TEXT, "maxItems": 1_000}
    schema = {"type": "object", "required": [field], "properties": {field: ids}}
    content = {"application/json": {"schema": schema, "example": {field: [_TRACE_ID]}}}
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {"200": _accepted("Traces deleted successfully")},
        "description": _DESCRIPTION,
    }


def _accepted(message: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["message"],
        "properties": {"message": {"type": "string"}},
    }
    return {
        "description": "The traces will be deleted.",
        "content": {"application/json": {"schema": schema, "example": {"message": message}}},
    }
