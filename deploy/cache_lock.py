"""Lock a cache directory of downloads, because several processes may start at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.errors import DownloadError


@contextmanager
def locked_cache(cache_dir: Path) -> Iterator[None]:
    """Create the directory if it is missing, and hold its lock during the block.

    Raises:
        DownloadError: the directory cannot be written.
    """
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        handle = os.open(cache_dir / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise DownloadError(f"cannot write the cache directory {cache_dir}: {error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
