"""Make responses of the console: security headers, compression, and redirects."""

from __future__ import annotations

import gzip
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from producers.console_paths import project_path
from query_api.console.preferences import preferences_of
from query_api.console.rendering import render

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With `no-referrer`, browsers send `Origin: null` with the forms of this server, too.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
    "vary": "Accept, Accept-Encoding, Cookie, HX-Request",
}
PAGES: Final = ("/project/", "/trace/")
"""Beginnings of the paths of pages."""
FOLLOWED: Final = "followed"
"""Parameter of an address that was followed from a page of this server."""
_COMPRESSED_FROM_BYTES: Final = 1_024
_COMPRESSION_LEVEL: Final = 5


def secured(request: Request, response: Response) -> Response:
    """Add the security headers, and compress the body if the client accepts that."""
    for name, value in SECURITY_HEADERS.items():
        response.headers[name] = value
    if isinstance(response, StreamingResponse):
        return response
    body = bytes(response.body)
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    if accepts and len(body) >= _COMPRESSED_FROM_BYTES:
        response.body = gzip.compress(body, _COMPRESSION_LEVEL, mtime=0)
        response.headers["content-encoding"] = "gzip"
        response.headers["content-length"] = str(len(response.body))
    return response


def see_other(path: str) -> Response:
    """Redirect to a path of this server with GET."""
    return Response(status_code=303, headers={"location": path})


def found(path: str) -> Response:
    """Redirect to a path of this server for now, such as to the sign-in."""
    return Response(status_code=302, headers={"location": path})


def is_browser(request: Request) -> bool:
    """Return whether the client accepts HTML. htmx asks for whole pages when one goes back."""
    is_going_back = request.headers.get("hx-history-restore-request") == "true"
    return is_going_back or "text/html" in request.headers.get("accept", "")


def is_part(request: Request) -> bool:
    """Return whether htmx requested a part of a page."""
    return request.headers.get("hx-request") == "true"


def is_https(request: Request, public_url: str) -> bool:
    return request.url.scheme == "https" or public_url.startswith("https://")


def local_path(path: str, project_id: str) -> str:
    """Return ``path`` if it is that of a page of this server, or else the project's first page.

    So a sign-in never redirects to another server.
    """
    is_plain = path.isascii() and path.isprintable() and "\\" not in path
    if is_plain and path.startswith(PAGES):
        return path
    return project_path(project_id)


def is_from_another_site(request: Request) -> bool:
    """Return whether a link on another site led here, in which case browsers send no session."""
    is_cross_site = request.headers.get("sec-fetch-site") == "cross-site"
    return is_cross_site and FOLLOWED not in request.query_params


def once_more(request: Request) -> Response:
    """Return a page that leads to the same address again, now from this server."""
    address = address_of(request)
    address += f"{'&' if '?' in address else '?'}{FOLLOWED}=1"
    return render("follow.html", preferences_of(request), address=address)


def address_of(request: Request) -> str:
    """Return path and query of a request as they were sent."""
    path = request.scope.get("raw_path") or quote(request.scope["path"], errors="replace").encode()
    query = request.scope.get("query_string", b"")
    return (path + (b"?" + query if query else b"")).decode("latin-1")
