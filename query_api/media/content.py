"""Serve the content of media below ``/api/public/media-content``, by signed URLs."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Final
from urllib.parse import parse_qsl, unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from producers.control.kinds.project import Project
from producers.errors import ForbiddenError, RequestError
from query_api import metrics
from query_api.media.local_media import LocalMedia
from query_api.media.signed_urls import PREFIX, Grant, grant_of

_HEADERS: Final = {
    # Files of users must not run as pages of this server.
    "content-security-policy": "default-src 'none'; sandbox",
    "content-disposition": "attachment",
    "x-content-type-options": "nosniff",
    "cache-control": "private",
}


class ServeMediaContent:
    """Middleware that serves ``PREFIX``, before the limits of the other routes."""

    def __init__(self, app: ASGIApp, media: LocalMedia) -> None:
        self._app = app
        self._media = media
        self._uploads = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        try:
            response = await self._respond(Request(scope, receive))
        except RequestError as error:
            await _refusal(error.status, str(error))(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        grant = self._grant(request)
        if request.method != grant.method:
            return _refusal(405, f"the URL is for {grant.method}")
        project = self._media.control.view[Project].get(grant.project_id)
        if project is None or project.state != "active":
            raise ForbiddenError("the project was deleted")
        if grant.method == "GET":
            path = self._media.files.path_of(grant.project_id, grant.media_id)
            if not path.is_file():
                return _refusal(404, "there is no such media")
            return FileResponse(path, media_type=grant.content_type, headers=_HEADERS)
        return await self._upload(request, grant)

    async def _upload(self, request: Request, grant: Grant) -> Response:
        settings = self._media.settings
        given = _bare_type(request.headers.get("content-type", ""))
        # Buckets refuse another type too: it is part of what their URLs sign.
        if given and given != _bare_type(grant.content_type):
            return _refusal(400, f"content-type: must be {grant.content_type}, as announced")
        if self._uploads >= settings.media_uploads_max:
            metrics.LIMITS_REACHED.labels("media_uploads_max").inc()
            return _refusal(503, "too many uploads", {"retry-after": str(settings.retry_after_s)})
        if self._media.disk is not None and (reason := self._media.disk.reason()):
            return _refusal(503, reason, {"retry-after": str(settings.retry_after_s)})
        self._uploads += 1
        try:
            async with asyncio.timeout(settings.media_upload_timeout_s):
                await self._media.files.write(
                    grant.project_id,
                    grant.media_id,
                    request.stream(),
                    length=grant.length,
                    sha256=base64.b64decode(grant.sha256),
                )
        except TimeoutError:
            metrics.LIMITS_REACHED.labels("media_upload_timeout_s").inc()
            return _refusal(408, "the content took too long to arrive", {"connection": "close"})
        except OSError as error:
            message = f"the content cannot be stored: {error.strerror}"
            return _refusal(503, message, {"retry-after": str(settings.retry_after_s)})
        finally:
            self._uploads -= 1
        return Response(status_code=200)

    def _grant(self, request: Request) -> Grant:
        raw = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1")
        project_id, _, media_id = raw.removeprefix(PREFIX).partition("/")
        parameters = dict(parse_qsl(request.url.query, keep_blank_values=True))
        return grant_of(
            unquote(project_id), unquote(media_id), parameters, self._media.key, time.time()
        )


def _bare_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"message": message, "error": "MediaError"}, status, headers)
