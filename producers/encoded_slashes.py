"""Route requests by the segments of the encoded path, with or without a slash at its end.

Servers decode the path before it is routed. An id with an encoded slash would reach another route:
`/projects/x%2Flimits` would be routed as `/projects/x/limits`. Here, an encoded slash does not
separate segments, and path parameters contain it as `/`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from starlette.convertors import PathConvertor, StringConvertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_ENCODED: Final = re.compile("%2[Ff]")
_KEPT: Final = "\udc2f"
"""Replaces an encoded slash in the routed path; other paths contain no lone surrogate."""


class _Segment(StringConvertor):
    def convert(self, value: str) -> str:
        return value.replace(_KEPT, "/")


class _Segments(PathConvertor):
    # Unlike `.*`, this matches line breaks: with `.*`, the id "a\n" would be routed as "a".
    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value.replace(_KEPT, "/")


# They replace Starlette's converters for routes that are defined later.
register_url_convertor("str", _Segment())
register_url_convertor("path", _Segments())


def routed(scope: Scope) -> Scope:
    """Return a scope whose path has no slash at its end, and keeps encoded slashes in segments."""
    path, raw_path = scope["path"], scope.get("raw_path")
    if raw_path is not None and b"%2" in raw_path:
        parts = _ENCODED.split(raw_path.decode("latin-1"))
        path = _KEPT.join(map(unquote, parts)) if len(parts) > 1 else path
    path = without_trailing_slash(path)
    return scope if path == scope["path"] else {**scope, "path": path}


def without_trailing_slash(path: str) -> str:
    """Return a path without the slash at its end; the root path is returned unchanged."""
    return path[:-1] if path.endswith("/") and len(path) > 1 else path


def shown_path(scope: Scope) -> str:
    """Return the path of a request, for messages."""
    return str(scope["path"]).replace(_KEPT, "%2F")


class KeepEncodedSlashes:
    """Route requests with the scope that ``routed`` returns."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(routed(scope) if scope["type"] == "http" else scope, receive, send)
