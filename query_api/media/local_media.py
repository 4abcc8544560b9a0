"""Store the content of media in a directory, and sign URLs of this server for it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.disk import DiskFloor
from producers.documents.kinds.media import Media
from producers.errors import InitError
from query_api.media.files import MediaFiles
from query_api.media.signed_urls import Grant, signed_path
from query_api.settings import QuerySettings


class LocalMedia:
    """The media of all projects; files of deleted projects are removed."""

    def __init__(
        self, control: ControlLog, settings: QuerySettings, disk: DiskFloor | None = None
    ) -> None:
        """Create the directory and its key; with ``disk``, uploads need space on it.

        Raises:
            InitError: the directory cannot be written.
        """
        self.control = control
        self.settings = settings
        self.disk = disk
        self.files = MediaFiles(Path(settings.media_dir))
        try:
            self.key = self.files.signing_key()
        except OSError as error:
            message = f"TRACEMILL_QUERY_MEDIA_DIR: {settings.media_dir}: {error.strerror}"
            raise InitError(message) from error
        control.subscribe(self._control_changed)

    async def has(self, project_id: str, media_id: str) -> bool:
        """Return whether the content was uploaded."""
        return self.files.has(project_id, media_id)

    def url(self, base_url: str, method: str, project_id: str, media_id: str, media: Media) -> str:
        """Return a URL to write or to read the content, valid for ``media_url_valid_s``."""
        grant = Grant(
            method=method,
            project_id=project_id,
            media_id=media_id,
            content_type=media.content_type,
            length=media.content_length,
            sha256=media.sha256,
            expires_s=int(time.time()) + self.settings.media_url_valid_s,
        )
        return f"{(self.settings.public_url or base_url).rstrip('/')}{signed_path(grant, self.key)}"

    def expiry(self) -> str:
        """Return when a URL that is created now expires."""
        at_s = int(time.time()) + self.settings.media_url_valid_s
        return datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")

    def _control_changed(self, change: Change) -> None:
        if isinstance(change, Project) and change.state != "active":
            delete = self.files.delete_project
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                delete(change.id)
            else:
                loop.run_in_executor(None, delete, change.id)
