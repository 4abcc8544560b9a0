"""Serve ``/api/public/media``: upload and download URLs of media."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Path
from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from producers.documents.kinds.media import Media
from query_api import metrics
from query_api.body import Body, require_unicode
from query_api.context import AppContext, ProjectId, Uploader
from query_api.errors import BadRequestError, NotFoundError
from query_api.media.store import MediaStore
from query_api.openapi.media_examples import (
    MEDIA_CHANGE_EXAMPLE,
    MEDIA_EXAMPLE,
    MEDIA_REQUEST_EXAMPLE,
    UPLOAD_EXAMPLE,
)
from query_api.responses import json_response
from query_api.times import RecordInstant, iso

ID_CHARS: Final = 22
ERROR_CHARS_MAX: Final = 1_000
_ONE: Final = "/api/public/media/{media_id}"
_SHA256_BYTES: Final = 32
_NOT_FOUND: Final = "Media asset not found or not uploaded yet"

MediaId = Annotated[str, Path(min_length=1, max_length=100, examples=[MEDIA_EXAMPLE["mediaId"]])]
OptionalId = Annotated[str, Field(max_length=1_000), AfterValidator(require_unicode)]


class _MediaBody(Body):
    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)


class UploadBody(_MediaBody):
    """Media of a trace or an observation, or of an item of a dataset."""

    model_config = ConfigDict(json_schema_extra={"examples": [MEDIA_REQUEST_EXAMPLE]})

    trace_id: OptionalId | None = None
    observation_id: OptionalId | None = None
    dataset_id: OptionalId | None = None
    dataset_item_id: OptionalId | None = None
    content_type: str = Field(
        max_length=200,
        pattern=r"^(image|audio|video|text|application)/[A-Za-z0-9.+-]+$",
    )
    content_length: int = Field(ge=1)
    sha256_hash: str = Field(
        alias="sha256Hash", max_length=100, description="SHA-256 of the content in Base64."
    )
    field: str = Field(pattern="^(input|output|expectedOutput|metadata)$")

    @model_validator(mode="after")
    def _has_one_subject(self) -> UploadBody:
        if (self.trace_id is None) == (self.dataset_item_id is None):
            raise ValueError("traceId, datasetItemId: set exactly one")
        return self


class UploadedBody(_MediaBody):
    """The result of an upload."""

    model_config = ConfigDict(json_schema_extra={"examples": [MEDIA_CHANGE_EXAMPLE]})

    uploaded_at: RecordInstant
    upload_http_status: int = Field(ge=0, le=999)
    upload_http_error: str | None = None
    upload_time_ms: int | None = None


class Upload(msgspec.Struct, rename="camel"):
    media_id: str
    upload_url: str | None
    """Null if the content is already stored."""


class MediaOut(msgspec.Struct, rename="camel", kw_only=True):
    media_id: str
    content_type: str
    content_length: int
    uploaded_at: str
    url: str
    url_expiry: str


def media_router(context: AppContext) -> APIRouter:
    router = APIRouter(tags=["media"])
    media, documented = _Media(context), context.documented

    @router.post(
        "/api/public/media",
        status_code=201,
        summary="Get an upload URL for media",
        responses={201: documented.response(Upload, "The id and the upload URL.", UPLOAD_EXAMPLE)},
    )
    async def create_upload_url(uploader: Uploader, body: UploadBody, request: Request) -> Response:
        """Return a URL for a `PUT` of the content. The id is derived from the hash."""
        upload = await media.upload(uploader.project_id, body, str(request.base_url))
        return json_response(upload, status=201)

    @router.patch(_ONE, status_code=204, summary="Report the result of an upload")
    async def report_upload(uploader: Uploader, media_id: MediaId, body: UploadedBody) -> Response:
        await media.report(uploader.project_id, media_id, body)
        return Response(status_code=204)

    @router.get(
        _ONE,
        summary="Get a download URL of media",
        responses={200: documented.response(MediaOut, "The media.", MEDIA_EXAMPLE)},
    )
    async def get_media(project_id: ProjectId, media_id: MediaId, request: Request) -> Response:
        """Return a URL for a `GET` of the content."""
        return json_response(await media.get(project_id, media_id, str(request.base_url)))

    return router


class _Media:
    def __init__(self, context: AppContext) -> None:
        self._documents = context.documents
        self._settings = context.settings
        self._media = context.media

    async def upload(self, project_id: str, body: UploadBody, base_url: str) -> Upload:
        media = self._store()
        limit = self._settings.media_max_bytes
        if body.content_length > limit:
            metrics.LIMITS_REACHED.labels("media_max_bytes").inc()
            message = f"contentLength: at most {limit} bytes"
            raise BadRequestError(message, field="contentLength")
        media_id = _id_of(body.sha256_hash)
        made = Media(
            content_type=body.content_type,
            content_length=body.content_length,
            sha256=body.sha256_hash,
            trace_id=body.trace_id,
            observation_id=body.observation_id,
            dataset_item_id=body.dataset_item_id,
            field=body.field,
        )
        if await media.has(project_id, media_id):
            await self._documents.get_or_create(project_id, media_id, made)
            return Upload(media_id, None)
        # An earlier request without an upload may have had wrong fields: replace them.
        await self._documents.change(Media, project_id, media_id, lambda _: made)
        return Upload(media_id, media.url(base_url, "PUT", project_id, media_id, made))

    async def report(self, project_id: str, media_id: str, body: UploadedBody) -> None:
        def reported(before: Media | None) -> Media:
            if before is None:
                raise NotFoundError(_NOT_FOUND)
            return msgspec.structs.replace(
                before,
                uploaded_us=body.uploaded_at,
                upload_status=body.upload_http_status,
                upload_error=(body.upload_http_error or "")[:ERROR_CHARS_MAX] or None,
            )

        await self._documents.change(Media, project_id, media_id, reported)

    async def get(self, project_id: str, media_id: str, base_url: str) -> MediaOut:
        media = self._store()
        document = await self._documents.get(Media, project_id, media_id)
        if document is None or not await media.has(project_id, media_id):
            raise NotFoundError(_NOT_FOUND)
        body = document.body
        return MediaOut(
            media_id=media_id,
            content_type=body.content_type,
            content_length=body.content_length,
            uploaded_at=iso(body.uploaded_us or document.updated_us),
            url=media.url(base_url, "GET", project_id, media_id, body),
            url_expiry=media.expiry(),
        )

    def _store(self) -> MediaStore:
        if self._media is None:
            message = (
                "media are not stored here: neither TRACEMILL_QUERY_MEDIA_DIR nor"
                " TRACEMILL_QUERY_MEDIA_URL is set"
            )
            raise NotFoundError(message)
        return self._media


def _id_of(sha256_hash: str) -> str:
    """Return the id of media, which SDKs derive from the hash in the same way.

    Raises:
        BadRequestError: it is not the Base64 of a SHA-256.
    """
    try:
        digest = base64.b64decode(sha256_hash, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _SHA256_BYTES:
        message = "sha256Hash: must be the Base64 of a SHA-256"
        raise BadRequestError(message, field="sha256Hash")
    return base64.urlsafe_b64encode(digest).decode()[:ID_CHARS]
