"""Convert errors to responses of the native and the Langfuse API.

Below ``/v1``, the body is ``{"error": {"code", "message", "field"?, "allowed"?}}``. The status is
422 for an invalid parameter or field, and 400 for invalid JSON. Below ``/api/public``, the body is
``{"message", "error"}``, as in Langfuse. The status is 400 for an invalid parameter, with the
issues. In both, 503 has ``Retry-After``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from producers.encoded_slashes import shown_path
from producers.errors import (
    ControlConflictError,
    ControlError,
    ControlLimitError,
    ForbiddenError,
    TooLargeError,
    UnauthorizedError,
)
from producers.options_requests import ROUTE_METHODS
from query_api.bodies import UNREADABLE, fault_of_body
from query_api.errors import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    QueryApiError,
    TooCostlyError,
    TooManyError,
    UnavailableError,
)
from query_api.known_fields import known_fields
from query_api.langfuse.not_served import not_served
from query_api.openapi.ingestion import ingestion_paths
from query_api.responses import json_response
from query_api.validation_messages import message_of

LANGFUSE_PREFIX: Final = "/api/public"
INVALID: Final = "Invalid request data"
_CODES: Final = {408: "timeout", 413: "too_large"}
"""Error codes by status, for requests that could not be read."""
PATH_SHOWN_MAX: Final = 200
Handler = Callable[[Request, Exception], Awaitable[Response]]
Shown = Callable[[Request, Response], Response]

log = structlog.get_logger(__name__)


def install_error_responses(app: FastAPI, shown: Shown) -> None:
    """Handle all errors. ``shown`` gets each response, and may return a page for browsers."""
    for error, handler in (
        (QueryApiError, _query_api_error),
        (UnauthorizedError, _unauthorized),
        (ForbiddenError, _forbidden),
        (ControlError, _control_error),
        (TooLargeError, _too_large),
        (RequestValidationError, _validation_error),
        (HTTPException, _http_exception),
        (Exception, _unexpected),
    ):
        app.add_exception_handler(error, _showing(handler, shown))


def _showing(handler: Handler, shown: Shown) -> Handler:
    async def handle(request: Request, error: Exception) -> Response:
        return shown(request, await handler(request, error))

    return handle


def native_refusal(
    status: int, code: str, message: str, *, field: str = "", allowed: Sequence[str] = ()
) -> Response:
    error: dict[str, Any] = {"code": code, "message": message}
    if field:
        error["field"] = field
    if allowed:
        error["allowed"] = list(allowed)
    return json_response({"error": error}, status=status)


def langfuse_refusal(status: int, message: str, error: object) -> Response:
    return json_response({"message": message, "error": error}, status=status)


def _is_langfuse(request: Request) -> bool:
    return request.url.path.startswith(LANGFUSE_PREFIX)


async def _query_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueryApiError)
    if _is_langfuse(request):
        response = _langfuse_response(error)
    elif isinstance(error, BadRequestError):
        response = native_refusal(
            422, error.code, error.message, field=error.field, allowed=error.allowed
        )
    else:
        response = native_refusal(error.status, error.code, error.message)
    if isinstance(error, UnavailableError):
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _langfuse_response(error: QueryApiError) -> Response:
    match error:
        case BadRequestError():
            issue = {"code": "custom", "path": [error.field], "message": error.message}
            return langfuse_refusal(400, INVALID, [issue])
        case NotFoundError():
            return langfuse_refusal(404, error.message, "LangfuseNotFoundError")
        case TooCostlyError():
            name = "TooManyError" if isinstance(error, TooManyError) else "Request timed out"
            return langfuse_refusal(422, error.message, name)
        case ConflictError():
            return langfuse_refusal(409, error.message, "LangfuseConflictError")
        case UnavailableError():
            return langfuse_refusal(503, error.message, "ServiceUnavailable")
        case _:
            return langfuse_refusal(500, error.message, "InternalServerError")


async def _unauthorized(request: Request, error: Exception) -> Response:
    if _is_langfuse(request):
        response = langfuse_refusal(401, str(error), "UnauthorizedError")
    else:
        response = native_refusal(401, "unauthorized", str(error))
    response.headers["WWW-Authenticate"] = "Basic"
    return response


async def _forbidden(request: Request, error: Exception) -> Response:
    if _is_langfuse(request):
        return langfuse_refusal(403, str(error), "ForbiddenError")
    return native_refusal(403, "forbidden", str(error))


async def _control_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ControlConflictError | ControlLimitError):
        return await _query_api_error(request, ConflictError(str(error)))
    return await _query_api_error(request, UnavailableError(str(error)))


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    issues = error.errors()
    if _is_langfuse(request):
        return langfuse_refusal(400, INVALID, [_zod_issue(issue) for issue in issues])
    first = issues[0]
    if first["type"] == "json_invalid":
        return native_refusal(400, UNREADABLE, "the body is not JSON", field="body")
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        allowed = known_fields(request.scope.get("route"), first["loc"][1:-1])
        message = f"unknown field {path[-1][:64]!r}"
        if allowed:
            message += f"; allowed: {', '.join(allowed)}"
        return native_refusal(
            422, "invalid_request", message, field=".".join(path[1:]), allowed=allowed
        )
    field = ".".join(path[1:]) or path[0]
    message = f"{field}: {message_of(first)}"
    return native_refusal(422, "invalid_request", message, field=field, allowed=_choices(first))


def _zod_issue(issue: Mapping[str, Any]) -> dict[str, Any]:
    path = [part if isinstance(part, int) else str(part) for part in issue["loc"][1:]]
    return {"code": issue["type"], "path": path, "message": message_of(issue)}


def _choices(issue: Mapping[str, Any]) -> tuple[str, ...]:
    """Parse the values of a literal from pydantic's "'a', 'b' or 'c'"."""
    expected = str(issue.get("ctx", {}).get("expected", ""))
    return tuple(expected.split("'")[1::2])


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in {404, 405}:
        return _no_such_route(request)
    if error.status_code == 400 and error.__cause__ is not None:
        message = fault_of_body(request, error.__cause__)
        if _is_langfuse(request):
            issue = {"code": UNREADABLE, "path": ["body"], "message": message}
            return langfuse_refusal(400, INVALID, [issue])
        return native_refusal(400, UNREADABLE, message, field="body")
    if _is_langfuse(request):
        return langfuse_refusal(error.status_code, str(error.detail), "InvalidRequestError")
    code = _CODES.get(error.status_code, "invalid_request")
    field = "body" if error.status_code in _CODES else ""
    return native_refusal(error.status_code, code, str(error.detail), field=field)


async def _too_large(request: Request, error: Exception) -> Response:
    return await _http_exception(request, HTTPException(413, str(error)))


def _no_such_route(request: Request) -> Response:
    route = f"{request.method} {shown_path(request.scope)[:PATH_SHOWN_MAX]}"
    absent = not_served(request.url.path)
    if absent:
        return langfuse_refusal(404, f"{absent} ({route})", "NotServedError")
    message = f"no such route: {route}"
    allowed = _methods_at(request)
    if allowed:
        message += f"; this path allows {', '.join(allowed)}"
    if _is_langfuse(request):
        name = "MethodNotAllowedError" if allowed else "LangfuseNotFoundError"
        response = langfuse_refusal(405 if allowed else 404, message, name)
    elif allowed:
        response = native_refusal(405, "method_not_allowed", message, allowed=allowed)
    else:
        response = native_refusal(404, "not_found", message)
    if allowed:
        response.headers["Allow"] = ", ".join(allowed)
    return response


def _methods_at(request: Request) -> tuple[str, ...]:
    """Return the methods of a path, including those of the gateway, which shares the port.

    Below ``/v1``, those of ``/things/action`` and not those of ``/things/{id}``: no record has such
    an id.
    """
    found: dict[str, set[str]] = {}
    for route in iter_route_contexts(request.app.routes):
        for method in ROUTE_METHODS:
            if route.matches({**request.scope, "method": method})[0] is Match.FULL:
                found.setdefault(route.path or "", set()).add(method)
    for template, methods in ingestion_paths().items():
        if _is_path_of(template, request.url.path):
            found.setdefault(template, set()).update(method.upper() for method in methods)
    if found and not _is_langfuse(request):
        fewest = min(template.count("{") for template in found)
        found = {each: names for each, names in found.items() if each.count("{") == fewest}
    return tuple(sorted({name for names in found.values() for name in names}))


def _is_path_of(template: str, path: str) -> bool:
    """Return whether a path is one of a template of OpenAPI.

    In the Langfuse API, parameters may contain slashes.
    """
    parameter = ".+" if template.startswith(LANGFUSE_PREFIX) else "[^/]+"
    pattern = re.sub(r"\\\{[^}]*\}", parameter, re.escape(template))
    return re.fullmatch(pattern, path, re.DOTALL) is not None


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected_error", path=shown_path(request.scope), exc_info=error)
    message = "Internal Server Error"
    if _is_langfuse(request):
        return langfuse_refusal(500, message, "InternalServerError")
    return native_refusal(500, "internal_error", message)
