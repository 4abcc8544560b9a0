"""Define examples of error responses by status, for the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

_NO_HEADER: Final = "No authorization header"
_BODY_TOO_LARGE: Final = "the body is larger than 65536 bytes"
_BODY_TOO_SLOW: Final = "the body took too long to arrive"
_HEAD_TOO_LARGE: Final = {
    "message": "The headers are too large (head_max_bytes)",
    "error": "RequestHeaderFieldsTooLarge",
}
_DENIED: Final = "Access Scope Denied: the credential lacks the scope 'write'"
_UNAVAILABLE: Final = "the store does not answer"


def _native(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, **more}}


def _langfuse(message: str, error: object) -> dict[str, Any]:
    return {"message": message, "error": error}


NATIVE: Final[dict[str, dict[str, Any]]] = {
    "400": _native("invalid_json", "the body is not JSON", field="body"),
    "401": _native("unauthorized", _NO_HEADER),
    "403": _native("forbidden", _DENIED),
    "404": _native("not_found", "no budget 'bud_1f6c5e0c9a7b4d2e8f3a6b1c'"),
    "408": _native("timeout", _BODY_TOO_SLOW, field="body"),
    "409": _native("conflict", "a project has at most 1000 budgets"),
    "413": _native("too_large", _BODY_TOO_LARGE, field="body"),
    "422": _native(
        "invalid_request",
        "group_by: 'mode' is not one of model, environment, name",
        field="group_by",
        allowed=["model", "environment", "name"],
    ),
    "431": _HEAD_TOO_LARGE,
    "503": _native("unavailable", _UNAVAILABLE),
}
LANGFUSE: Final[dict[str, dict[str, Any]]] = {
    "400": _langfuse(
        "Invalid request data",
        [
            {
                "code": "less_than_equal",
                "path": ["limit"],
                "message": "Input should be less than or equal to 100",
            }
        ],
    ),
    "401": _langfuse(_NO_HEADER, "UnauthorizedError"),
    "403": _langfuse(_DENIED, "ForbiddenError"),
    "404": _langfuse("Score not found within authorized project", "LangfuseNotFoundError"),
    "408": _langfuse(_BODY_TOO_SLOW, "InvalidRequestError"),
    "409": _langfuse("there are too many", "LangfuseConflictError"),
    "413": _langfuse(_BODY_TOO_LARGE, "InvalidRequestError"),
    "422": _langfuse("the query reads more than it may", "Request timed out"),
    "431": _HEAD_TOO_LARGE,
    "503": _langfuse(_UNAVAILABLE, "ServiceUnavailable"),
}
