"""Answer requests of browsers with pages of errors, where programs get JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import Response

from query_api.console.preferences import preferences_of
from query_api.console.rendering import render
from query_api.console.responses import is_browser, is_part, secured

if TYPE_CHECKING:
    from query_api.console.routes import Console

OF_PROGRAMS: Final = ("/v1", "/api", "/openapi.json", "/metrics")
"""Paths whose errors are JSON for browsers, too."""
KEPT_HEADERS: Final = ("retry-after", "allow")

log = structlog.get_logger(__name__)


class ErrorPages:
    """Shows the errors of routes, and of addresses that have none, in the frame of the console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def page_of(self, request: Request, response: Response) -> Response:
        """Return the page for an error response in JSON; the response itself for programs."""
        path = request.scope["path"]
        if any(path == each or path.startswith(f"{each}/") for each in OF_PROGRAMS):
            return response
        if not is_browser(request) and not is_part(request):
            return response
        try:
            page = self._rendered(request, response.status_code, _message_in(response))
        except Exception:
            log.exception("error_page_failed")
            return response
        for name in KEPT_HEADERS:
            if name in response.headers:
                page.headers[name] = response.headers[name]
        return page

    def _rendered(self, request: Request, status: int, message: str) -> Response:
        view = self._console.view_of(request, _project_in(request.scope["path"]))
        values: dict[str, Any] = {"status": status, "code": status, "message": message}
        if is_part(request):
            page = render("error_part.html", preferences_of(request), **values)
        elif view is None:
            page = render("error_alone.html", preferences_of(request), **values)
        else:
            page = view.render("error.html", **values)
        return secured(request, page)


def _project_in(path: str) -> str:
    """Return the project that a path names; empty if it names none."""
    parts = path.split("/", 3)
    return unquote(parts[2]) if len(parts) > 2 and parts[1] == "project" else ""


def _message_in(response: Response) -> str:
    """Return the message of an error in JSON."""
    error = msgspec.json.decode(response.body).get("error", {})
    return str(error.get("message", "")) if isinstance(error, dict) else ""
