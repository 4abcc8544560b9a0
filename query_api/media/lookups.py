"""Look up which media are uploaded, many at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from query_api import metrics
from query_api.errors import UnavailableError
from query_api.media.store import MediaStore

log = structlog.get_logger(__name__)

LOOKUPS_AT_ONCE_MAX: Final = 16
"""Concurrent look-ups of a list; further ones wait."""


async def uploaded_media(
    store: MediaStore, project_id: str, media_ids: Iterable[str], timeout_s: float
) -> set[str]:
    """Return the media whose content is known to be uploaded within ``timeout_s``.

    What the store does not answer in time is left out, so that a list does not depend on it.
    """
    found: set[str] = set()
    waiting = asyncio.Semaphore(LOOKUPS_AT_ONCE_MAX)
    faults: list[str] = []

    async def look_up(media_id: str) -> None:
        async with waiting:
            if faults:  # the others would fail, too
                return
            try:
                if await store.has(project_id, media_id):
                    found.add(media_id)
            except UnavailableError as error:
                faults.append(str(error))

    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            for each in media_ids:
                group.create_task(look_up(each))
    except TimeoutError:
        faults.append("too slow")
    if faults:
        metrics.LIMITS_REACHED.labels("media_lookups_timeout_s").inc()
        log.warning("media_lookups_incomplete", project=project_id, reason=faults[0])
    return found
