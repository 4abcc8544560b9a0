"""Look up the traces of observations in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

import structlog

from clickhouse.errors import QueryLimitReached, StoreError
from clickhouse.store import Store
from streams.core.placement.waiting import ObservationKey
from streams.placement import metrics
from streams.placement.settings import PlacementSettings

log = structlog.get_logger(__name__)

QUERY_CHARS_MAX: Final = 100_000
"""Maximum characters of the ids of one query, because they are part of its URL."""
DAY_US: Final = 86_400_000_000
# The filter on ids skips granules without them. If several traces have an observation with the same
# id, the latest one is used.
LOOKUP_SQL: Final = """
SELECT project_id, id, argMax(trace_id, (start_time, trace_id)) AS found
FROM observations
PREWHERE project_id IN {projects:Array(String)} AND id IN {ids:Array(String)}
WHERE is_deleted = 0 AND start_time >= fromUnixTimestamp64Micro({since_us:Int64})
GROUP BY project_id, id
"""


class Lookup(Protocol):
    """An interface to look up the traces of observations."""

    async def traces(
        self, keys: Iterable[ObservationKey], now_us: int, *, everywhere: bool
    ) -> dict[ObservationKey, str]:
        """Return the trace of each observation that is found."""


class StoreLookup:
    """Queries of the store, which are retried until it responds, so that outages delay events."""

    def __init__(
        self,
        store: Store,
        settings: PlacementSettings,
        on_failure: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Create the lookup; ``on_failure`` is called with whether the last query failed."""
        self._store = store
        self._settings = settings
        self._on_failure = on_failure

    async def traces(
        self, keys: Iterable[ObservationKey], now_us: int, *, everywhere: bool
    ) -> dict[ObservationKey, str]:
        since_us = 0 if everywhere else now_us - self._settings.recent_days * DAY_US
        found: dict[ObservationKey, str] = {}
        for some in _queries(keys):
            try:
                found |= await self._query(some, since_us)
            except QueryLimitReached as error:
                if not everywhere:
                    raise
                metrics.LIMIT_REACHED.labels("store_query_limits").inc()
                log.warning("lookup_limited", reason=str(error))
        return found

    async def _query(self, keys: list[ObservationKey], since_us: int) -> dict[ObservationKey, str]:
        parameters = {
            "projects": sorted({project_id for project_id, _ in keys}),
            "ids": sorted({observation_id for _, observation_id in keys}),
            "since_us": max(since_us, 0),
        }
        pause_s = self._settings.store_retry_s
        while True:
            try:
                with metrics.LOOKUP_S.time():
                    rows = await self._store.query(LOOKUP_SQL, parameters)
            except QueryLimitReached:
                raise
            except StoreError as error:
                self._on_failure(True)
                log.warning("store_unavailable", reason=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._settings.store_retry_max_s)
            else:
                self._on_failure(False)
                return {(row["project_id"], row["id"]): row["found"] for row in rows}


def _queries(keys: Iterable[ObservationKey]) -> Iterator[list[ObservationKey]]:
    some: list[ObservationKey] = []
    chars = 0
    for key in dict.fromkeys(keys):
        size = len(key[0]) + len(key[1])
        if some and chars + size > QUERY_CHARS_MAX:
            yield some
            some, chars = [], 0
        some.append(key)
        chars += size
    if some:
        yield some
