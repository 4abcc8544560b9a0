"""Query the store for groups of cells, and for the spend of a budget's period."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import structlog

from clickhouse.errors import QueryRejected, StoreUnavailable
from clickhouse.rows import SpendRow, WindowRow
from clickhouse.store import Store
from streams.core.budgets.evaluation import Baseline
from streams.core.dimensions.sources import SPEND_DIMENSIONS, WINDOW_DIMENSIONS
from streams.core.rollups.cell_groups import GroupKey
from streams.core.rollups.fold import Missing
from streams.rollups import metrics
from streams.rollups.settings import ProjectSettings

log = structlog.get_logger(__name__)

AnswerT = TypeVar("AnswerT")

# The queries select the product of projects and starts: a few unneeded groups cost less than a
# query for each project.
_WINDOW_COLUMNS: Final = ", ".join(each.name for each in WINDOW_DIMENSIONS)
_SPEND_COLUMNS: Final = ", ".join(each.name for each in SPEND_DIMENSIONS)
WINDOWS_SQL: Final = f"""
SELECT project_id, toUnixTimestamp(window_start) AS window_s, {_WINDOW_COLUMNS}, row_version,
    observation_count, error_count, usage,
    toInt64(total_cost * 1000000000000) AS total_cost_pico, hex(latency_state) AS latency_state_hex
FROM windows FINAL
WHERE project_id IN {{projects:Array(String)}} AND window_start IN {{starts:Array(DateTime('UTC'))}}
"""  # noqa: S608  # columns of the registry
SPEND_SQL: Final = f"""
SELECT project_id, toUnixTimestamp(bucket_start) AS bucket_s, {_SPEND_COLUMNS}, row_version,
    toInt64(total_cost * 1000000000000) AS total_cost_pico
FROM spend FINAL
WHERE project_id IN {{projects:Array(String)}} AND bucket_start IN {{starts:Array(DateTime('UTC'))}}
"""  # noqa: S608  # columns of the registry
SPENT_SQL: Final = """
SELECT [{sums}] AS spent_pico
FROM spend FINAL
WHERE project_id = {{project:String}}
    AND bucket_start >= {{start:DateTime('UTC')}} AND bucket_start < {{end:DateTime('UTC')}}
    AND bucket_start NOT IN {{in_memory:Array(DateTime('UTC'))}}
"""
LATEST_SQL: Final = """
SELECT (SELECT toUnixTimestamp(max(window_start)) FROM windows) AS windows_s,
    (SELECT toUnixTimestamp(max(bucket_start)) FROM spend) AS spend_s
"""
SCOPE_COLUMNS: Final = tuple(each.name for each in SPEND_DIMENSIONS)
SPENT_CONCURRENCY: Final = 4
USELESS_SHARE_MAX: Final = 4
"""Limit of the groups that one query for several projects selects, per group that is needed."""

_windows = msgspec.json.Decoder(WindowRow, strict=False)
_spend = msgspec.json.Decoder(SpendRow, strict=False)


class _Spent(msgspec.Struct):
    spent_pico: list[int]


class Latest(msgspec.Struct, frozen=True):
    """The latest starts of windows and of spend in the store; 0 if there are none."""

    windows_s: int
    spend_s: int


_spent = msgspec.json.Decoder(_Spent, strict=False)
_latest = msgspec.json.Decoder(Latest, strict=False)


class ProjectReader:
    """Query the store; retry each query until the store is reachable, so outages raise nothing."""

    def __init__(self, store: Store, settings: ProjectSettings) -> None:
        self._store = store
        self._settings = settings

    async def read_back(self, missing: Missing) -> tuple[list[WindowRow], list[SpendRow]]:
        """Return all rows of the missing groups.

        Raises:
            QueryRejected: the store refuses the query, because of a limit or another schema.
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
                for answer in windows
                for row in _windows.decode_lines(answer)
                if (row.project_id, row.window_s) in missing.windows
            ],
            [
                row
                for answer in spend
                for row in _spend.decode_lines(answer)
                if (row.project_id, row.bucket_s) in missing.spend
            ],
        )

    async def latest(self) -> Latest:
        """Return the latest starts of any project. Raises like ``read_back``."""
        return _latest.decode(await self._answered(lambda: self._store.query_bytes(LATEST_SQL)))

    async def spent_pico(self, baselines: Sequence[Baseline]) -> list[int | QueryRejected]:
        """Return the stored spend of each baseline, in their order, or why its query was refused.

        Baselines that differ only in their scopes are queried together.

        Raises:
            QueryRejected: the store refuses every query.
        """
        alike: dict[tuple[str, int, int, tuple[int, ...]], list[Baseline]] = {}
        for baseline in baselines:
            project_id = baseline.budget.project_id
            span = (project_id, baseline.start_s, baseline.end_s, baseline.in_memory)
            alike.setdefault(span, []).append(baseline)
        slots = asyncio.Semaphore(SPENT_CONCURRENCY)

        async def ask(asked: list[Baseline]) -> Sequence[int | QueryRejected]:
            async with slots:
                return await self._spent_or_refused(asked)

        answers = await asyncio.gather(*map(ask, alike.values()))
        found = {
            baseline.key: pico
            for asked, answer in zip(alike.values(), answers, strict=True)
            for baseline, pico in zip(asked, answer, strict=True)
        }
        return [found[baseline.key] for baseline in baselines]

    async def _spent_or_refused(self, alike: list[Baseline]) -> Sequence[int | QueryRejected]:
        """Query all together, and one by one if the store refuses that."""
        try:
            return await self._spent_pico(alike)
        except QueryRejected as error:
            if len(alike) == 1:
                await self.latest()  # raises if the store refuses everything
                return [error]
        answers: list[int | QueryRejected] = []
        for baseline in alike:
            answers += await self._spent_or_refused([baseline])
        return answers

    async def _groups(self, sql: str, groups: set[GroupKey]) -> list[bytes]:
        """Query groups, a limited number at a time.

        A project with many groups does not enlarge the results of the others.
        """
        return [
            await self._answered(partial(self._store.query_bytes, sql, params))
            for params in _questions(groups, self._settings.read_back_groups_max)
        ]

    async def _spent_pico(self, alike: list[Baseline]) -> list[int]:
        """Query the stored spend of baselines that differ only in their scopes."""
        first = alike[0]
        params: dict[str, Any] = {
            "project": first.budget.project_id,
            "start": _time(first.start_s),
            "end": _time(first.end_s),
            "in_memory": _times(first.in_memory),
        }
        sums = []
        for number, baseline in enumerate(alike):
            condition = "1"
            for column, value in zip(SCOPE_COLUMNS, baseline.budget.scope_key, strict=True):
                if value is not None:
                    condition += f" AND {column} = {{{column}_{number}:String}}"
                    params[f"{column}_{number}"] = value
            sums.append(f"toInt128(sumIf(total_cost, {condition}) * 1000000000000)")
        sql = SPENT_SQL.format(sums=", ".join(sums))
        answer = await self._answered(lambda: self._store.query_bytes(sql, params))
        return _spent.decode(answer).spent_pico

    async def _answered(self, ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        delay_s = self._settings.store_retry_s
        while True:
            try:
                return await ask()
            except StoreUnavailable as error:
                metrics.STORE_RETRIES.inc()
                log.warning("store_unavailable", retry_in_s=delay_s, reason=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, self._settings.store_retry_max_s)


def _questions(groups: set[GroupKey], groups_max: int) -> Iterator[dict[str, Any]]:
    """Yield the parameters of the queries for groups.

    One query for all projects if its product of projects and starts has few unneeded groups;
    otherwise one or more for each project.
    """
    starts_of: dict[str, list[int]] = {}
    for project_id, start_s in sorted(groups):
        starts_of.setdefault(project_id, []).append(start_s)
    starts = sorted({start_s for _, start_s in groups})
    if len(starts_of) * len(starts) <= min(groups_max, USELESS_SHARE_MAX * len(groups)):
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
