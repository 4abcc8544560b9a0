"""Keep the content of media as files, one per project and hash."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from producers.errors import RequestError

KEY_BYTES: Final = 32
_KEY_FILE: Final = "signing-key"
_PARTIAL: Final = ".partial"
_PARTIAL_KEPT_S: Final = 86_400


class ContentError(RequestError):
    """The content has another length or hash than was announced."""


class MediaFiles:
    """The files of a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def signing_key(self) -> bytes:
        """Return the key that signs URLs; the first process creates it.

        Raises:
            OSError: the directory cannot be written.
        """
        path = self._directory / _KEY_FILE
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            new = path.with_name(f"{_KEY_FILE}-{secrets.token_hex(8)}")
            new.touch(mode=0o600)
            new.write_bytes(secrets.token_bytes(KEY_BYTES))
            try:
                os.link(new, path)  # only one process can
            except FileExistsError:
                pass
            finally:
                new.unlink()
        return path.read_bytes()

    def path_of(self, project_id: str, media_id: str) -> Path:
        """Return the path of a file that may not exist; ids cannot leave the directory."""
        name = hashlib.sha256(media_id.encode()).hexdigest()
        return self._of_project(project_id) / name[:2] / name

    def has(self, project_id: str, media_id: str) -> bool:
        return self.path_of(project_id, media_id).is_file()

    async def write(
        self,
        project_id: str,
        media_id: str,
        chunks: AsyncIterator[bytes],
        *,
        length: int,
        sha256: bytes,
    ) -> None:
        """Write a file, which appears when its content is complete and on the disk.

        Raises:
            ContentError: length or hash differ; nothing is stored.
            OSError: it cannot be written.
        """
        path = self.path_of(project_id, media_id)
        partial = path.with_name(f"{path.name}-{secrets.token_hex(8)}{_PARTIAL}")
        await asyncio.to_thread(_prepare, path.parent)
        digest, size = hashlib.sha256(), 0
        try:
            with partial.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > length:
                        break
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                if size != length:
                    raise ContentError(f"the content does not have {length} bytes")
                if digest.digest() != sha256:
                    raise ContentError("the content does not have the announced SHA-256")
                await asyncio.to_thread(_flush, file.fileno(), file.flush)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def delete_project(self, project_id: str) -> None:
        """Delete all files of a project."""
        shutil.rmtree(self._of_project(project_id), ignore_errors=True)

    def _of_project(self, project_id: str) -> Path:
        return self._directory / hashlib.sha256(project_id.encode()).hexdigest()[:32]


def _prepare(directory: Path) -> None:
    """Create a directory, and remove what interrupted uploads left in it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    oldest_s = time.time() - _PARTIAL_KEPT_S
    for each in directory.glob(f"*{_PARTIAL}"):
        if each.stat().st_mtime < oldest_s:
            each.unlink(missing_ok=True)


def _flush(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)
