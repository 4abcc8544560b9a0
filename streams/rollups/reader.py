"""Query the store for groups of cells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import structlog

from clickhouse.errors import StoreUnavailable
from clickhouse.rows import SpendRow, WindowRow
from clickhouse.store import Store
from streams.core.dimensions.sources import SPEND_DIMENSIONS, WINDOW_DIMENSIONS
from streams.core.rollups.cell_groups import GroupKey
from streams.core.rollups.fold import Missing
from streams.rollups import metrics
from streams.rollups.settings import ProjectSettings

log = structlog.get_logger(__name__)

# The queries select the product of projects and starts: a few unneeded groups cost less than a
# query for each project.
_WINDOW_COLUMNS: Final = ", ".join(each.name for each in WINDOW_DIMENSIONS)
_SPEND_COLUMNS: Final = ", ".join(each.name for each in SPEND_DIMENSIONS)
WINDOWS_SQL: Final = f"""
SELECT project_id, toUnixTimestamp(window_start) AS window_s, {_WINDOW_COLUMNS}, row_version,
    observation_count, error_count, usage,
    toInt64(total_cost * 1000000000000) AS total_cost_pico, hex(latency_state) AS latency_state_hex,
    hex(ttft_state) AS ttft_state_hex, hex(rate_state) AS rate_state_hex, unpriced_count,
    cache_exact_count, cache_semantic_count, cache_miss_count, error_types,
    toInt64(cached_saved * 1000000000000) AS cached_saved_pico,
    toInt64(app_saved * 1000000000000) AS app_saved_pico
FROM windows FINAL
WHERE project_id IN {{projects:Array(String)}} AND window_start IN {{starts:Array(DateTime('UTC'))}}
"""  # noqa: S608  # columns of the registry
SPEND_SQL: Final = f"""
SELECT project_id, toUnixTimestamp(bucket_start) AS bucket_s, {_SPEND_COLUMNS}, row_version,
    toInt64(total_cost * 1000000000000) AS total_cost_pico, observation_count, error_count,
    input_tokens, output_tokens, total_tokens, unpriced_count
FROM spend FINAL
WHERE project_id IN {{projects:Array(String)}} AND bucket_start IN {{starts:Array(DateTime('UTC'))}}
"""  # noqa: S608  # columns of the registry
LATEST_SQL: Final = """
SELECT (SELECT toUnixTimestamp(max(window_start)) FROM windows) AS windows_s,
    (SELECT toUnixTimestamp(max(bucket_start)) FROM spend) AS spend_s
"""
GROUPS_PER_NEEDED_MAX: Final = 4
"""Maximum groups that a query for several projects selects, per group that is needed."""

_windows = msgspec.json.Decoder(WindowRow, strict=False)
_spend = msgspec.json.Decoder(SpendRow, strict=False)


class Latest(msgspec.Struct, frozen=True):
    """The latest starts of windows and of spend in the store; 0 if there are none."""

    windows_s: int
    spend_s: int


_latest = msgspec.json.Decoder(Latest, strict=False)


class ProjectReader:
    """Queries of the store, which are retried until the store is reachable."""

    def __init__(self, store: Store, settings: ProjectSettings) -> None:
        self._store = store
        self._settings = settings

    async def read_back(self, missing: Missing) -> tuple[list[WindowRow], list[SpendRow]]:
        """Return all rows of the missing groups.

        Raises:
            QueryRejected: the store refuses the query, for example because of a limit.
        """
        metrics.READ_BACK.labels("windows").inc(len(missing.windows))
        metrics.READ_BACK.labels("spend").inc(len(missing.spend))
        with metrics.READ_BACK_S.time():
            windows, spend = await asyncio.gather(
                self._groups(WINDOWS_SQL, missing.windows), self._groups(SPEND_SQL, missing.spend)
            )
        return (
            [
                row
                for lines in windows
                for row in _windows.decode_lines(lines)
                if (row.project_id, row.window_s) in missing.windows
            ],
            [
                row
                for lines in spend
                for row in _spend.decode_lines(lines)
                if (row.project_id, row.bucket_s) in missing.spend
            ],
        )

    async def latest(self) -> Latest:
        """Return the latest starts of any project. Raises like ``read_back``."""
        return _latest.decode(await self._query(LATEST_SQL))

    async def _groups(self, sql: str, groups: set[GroupKey]) -> list[bytes]:
        """Query groups, a limited number at a time; return the rows of each query as JSON lines."""
        return [
            await self._query(sql, params)
            for params in _query_params(groups, self._settings.read_back_groups_max)
        ]

    async def _query(self, sql: str, params: dict[str, Any] | None = None) -> bytes:
        """Return the rows of a query as JSON lines."""
        delay_s = self._settings.store_retry_s
        while True:
            try:
                return await self._store.query_bytes(sql, params)
            except StoreUnavailable as error:
                metrics.STORE_RETRIES.inc()
                log.warning("store_unavailable", retry_in_s=delay_s, reason=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, self._settings.store_retry_max_s)


def _query_params(groups: set[GroupKey], groups_max: int) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each query for groups.

    There is one query for all projects if the product of projects and starts has few unneeded
    groups. Otherwise there are one or more queries per project, so that a project with many groups
    does not enlarge the results of the others.
    """
    starts_of: dict[str, list[int]] = {}
    for project_id, start_s in sorted(groups):
        starts_of.setdefault(project_id, []).append(start_s)
    starts = sorted({start_s for _, start_s in groups})
    if len(starts_of) * len(starts) <= min(groups_max, GROUPS_PER_NEEDED_MAX * len(groups)):
        if groups:
            yield {"projects": list(starts_of), "starts": _times(starts)}
        return
    for project_id, of_project in starts_of.items():
        for begin in range(0, len(of_project), groups_max):
            chosen = of_project[begin : begin + groups_max]
            yield {"projects": [project_id], "starts": _times(chosen)}


def _time(second: int) -> datetime:
    """Return the time of a second, limited to the range of the column type ``DateTime``."""
    return datetime.fromtimestamp(min(max(second, 0), 2**32 - 1), UTC)


def _times(seconds: Iterable[int]) -> list[datetime]:
    return [_time(second) for second in seconds]
