"""Define the interface of stores for the content of media, and choose one by the settings."""

from __future__ import annotations

from typing import Protocol

from producers.control.log import ControlLog
from producers.disk import DiskFloor
from producers.documents.kinds.media import Media
from query_api.media.local_media import LocalMedia
from query_api.media.s3_media import S3Media
from query_api.media.s3_signing import S3Access
from query_api.settings import QuerySettings


class MediaStore(Protocol):
    """A store for the content of media of all projects."""

    async def has(self, project_id: str, media_id: str) -> bool:
        """Return whether the content was uploaded.

        Raises:
            UnavailableError: the store did not answer.
        """

    def url(self, base_url: str, method: str, project_id: str, media_id: str, media: Media) -> str:
        """Return a URL to write or to read the content, valid for ``media_url_valid_s``."""

    def expiry(self) -> str:
        """Return when a URL that is created now expires, in ISO 8601."""


def media_store_of(
    settings: QuerySettings, control: ControlLog, disk: DiskFloor | None, access: S3Access
) -> MediaStore | None:
    """Return the store that the settings name: a bucket, or else a directory.

    Returns None if they name neither.

    Raises:
        InitError: the directory cannot be written.
    """
    if settings.media_url:
        return S3Media(control, settings, access)
    return LocalMedia(control, settings, disk) if settings.media_dir else None
