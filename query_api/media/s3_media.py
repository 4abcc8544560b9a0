"""Store the content of media in a bucket, to which clients upload by signed URLs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import TYPE_CHECKING, Final

import structlog

from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.documents.kinds.media import Media
from query_api import metrics
from query_api.errors import UnavailableError
from query_api.media.s3_signing import S3Access, presigned_url
from query_api.settings import QuerySettings
from query_api.times import iso

if TYPE_CHECKING:
    import httpx

log = structlog.get_logger(__name__)

_OWN_REQUEST_VALID_S: Final = 60
_KEY: Final = re.compile(r"<Key>([^<]+)</Key>")
_OK, _NO_CONTENT, _NOT_FOUND = 200, 204, 404
DELETE_PAUSE_FIRST_S: Final = 1.0
DELETE_PAUSE_MAX_S: Final = 300.0
DELETIONS_AT_ONCE_MAX: Final = 4
"""Projects whose objects are deleted at the same time; further ones wait."""


class S3Media:
    """The media of all projects; objects of deleted projects are removed."""

    def __init__(self, control: ControlLog, settings: QuerySettings, access: S3Access) -> None:
        """Create a store for the bucket of ``media_url``."""
        self._settings = settings
        self._access = access
        public = settings.media_endpoint_url or access.endpoint_url
        self._public = replace(access, endpoint_url=public)
        self._bucket, _, prefix = settings.media_url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: httpx.AsyncClient | None = None
        self._deletions: set[asyncio.Task[None]] = set()
        self._deleting = asyncio.Semaphore(DELETIONS_AT_ONCE_MAX)
        control.subscribe(self._control_changed)

    def url(self, base_url: str, method: str, project_id: str, media_id: str, media: Media) -> str:  # noqa: ARG002  # the address is that of the bucket
        """Return a URL to write or to read the content, valid for ``media_url_valid_s``.

        The request that writes must have the announced length, type and hash, which S3 checks.
        """
        query, headers = {}, {}
        if method == "PUT":
            headers = {
                "content-length": str(media.content_length),
                "content-type": media.content_type,
                "x-amz-checksum-sha256": media.sha256,
            }
        else:
            query = {
                "response-content-disposition": "attachment",
                "response-content-type": media.content_type,
            }
        return presigned_url(
            self._public,
            method,
            f"{self._bucket}/{self._key_of(project_id, media_id)}",
            at=datetime.now(UTC),
            valid_s=self._settings.media_url_valid_s,
            query=query,
            headers=headers,
        )

    def expiry(self) -> str:
        """Return when a URL that is created now expires."""
        return iso_of(datetime.now(UTC) + timedelta(seconds=self._settings.media_url_valid_s))

    async def has(self, project_id: str, media_id: str) -> bool:
        """Return whether the content was uploaded.

        Raises:
            UnavailableError: the bucket did not answer.
        """
        answer = await self._request("HEAD", self._key_of(project_id, media_id))
        return answer.status_code == _OK

    async def delete_project(self, project_id: str) -> int:
        """Delete all objects of a project; return their number.

        Raises:
            UnavailableError: the bucket did not answer.
        """
        prefix, deleted = self._of_project(project_id), 0
        while True:
            query = {"list-type": "2", "prefix": prefix}
            listed = await self._request("GET", "", query)
            keys = [unescape(key) for key in _KEY.findall(listed.text)]
            for key in keys:
                await self._request("DELETE", key)
            deleted += len(keys)
            if not keys:
                return deleted

    async def _request(
        self, method: str, key: str, query: dict[str, str] | None = None
    ) -> httpx.Response:
        import httpx  # noqa: PLC0415  # only processes with a bucket need it

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._settings.media_request_timeout_s)
        path = f"{self._bucket}/{key}" if key else self._bucket
        url = presigned_url(
            self._access,
            method,
            path,
            at=datetime.now(UTC),
            valid_s=_OWN_REQUEST_VALID_S,
            query=query,
        )
        try:
            answer = await self._client.request(method, url)
        except httpx.TimeoutException as error:
            metrics.LIMITS_REACHED.labels("media_request_timeout_s").inc()
            raise UnavailableError("the bucket of media does not answer in time") from error
        except httpx.HTTPError as error:
            log.warning("media_bucket_unavailable", reason=repr(error))
            raise UnavailableError("the bucket of media cannot be reached") from error
        if answer.status_code not in (_OK, _NO_CONTENT, _NOT_FOUND):
            log.warning("media_bucket_refused", status=answer.status_code, method=method)
            raise UnavailableError(f"the bucket of media answers {answer.status_code}")
        return answer

    def _of_project(self, project_id: str) -> str:
        return f"{self._prefix}{hashlib.sha256(project_id.encode()).hexdigest()[:32]}/"

    def _key_of(self, project_id: str, media_id: str) -> str:
        return f"{self._of_project(project_id)}{hashlib.sha256(media_id.encode()).hexdigest()}"

    def _control_changed(self, change: Change) -> None:
        if isinstance(change, Project) and change.state != "active":
            task = asyncio.create_task(self._delete_all(change.id), name=f"media of {change.id}")
            self._deletions.add(task)
            task.add_done_callback(self._deletions.discard)

    async def _delete_all(self, project_id: str) -> None:
        """Delete the objects of a project, and again when its last upload URL has expired."""
        for wait_s in (0, self._settings.media_url_valid_s):
            await asyncio.sleep(wait_s)
            pause_s = DELETE_PAUSE_FIRST_S
            while True:
                try:
                    async with self._deleting:
                        deleted = await self.delete_project(project_id)
                    break
                except UnavailableError as error:
                    log.warning("media_deletion_delayed", project=project_id, reason=str(error))
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, DELETE_PAUSE_MAX_S)
            if deleted:
                log.info("media_deleted", project=project_id, objects=deleted)


def iso_of(at: datetime) -> str:
    """Return a time in ISO 8601."""
    return iso(int(at.timestamp() * 1_000_000))
