"""Recompute the stale hours and days of levels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

import structlog

from clickhouse.errors import QueryLimitReached, StoreError, StoreUnavailable
from clickhouse.levels import metrics, statements
from clickhouse.levels.cubes import CUBES, REDUCED
from clickhouse.levels.schema import HOURLY, WindowColumn, window_columns
from clickhouse.levels.settings import LevelSettings
from clickhouse.sink.deleted_projects import NONE_DELETED, Deleted
from clickhouse.store import Store

Level = Literal["hour", "day"]
LENGTH_S: Final[dict[Level, int]] = {"hour": 3_600, "day": 86_400}
LOOKBACK: Final = 2
"""Number of hours or days before a complete pass whose changes the next one looks at again, because
the bucket may not have ended at that time."""
ID_BYTES_MAX: Final = 6_000
"""Maximum size of the ids of projects in a statement, whose parameters are in a URL."""
REPORTED_BUCKETS: Final = 100
"""Number of buckets from which on a pass is logged, such as those after an upgrade or import."""

log = structlog.get_logger(__name__)


class Bucket(NamedTuple):
    """An hour or a day of a project."""

    project_id: str
    start_s: int


class _Pass(NamedTuple):
    now_ms: int
    quiet_ms: int
    """Inserts up to this time are visible; a bucket that changed later is not recomputed."""


class Rollups:
    """Recomputes hours and days. Any number of processes may do so; each result is absolute.

    ``insert_max_s`` is the time limit of inserts: they become visible at most this much later than
    their time (``inserted_at``).
    """

    def __init__(
        self,
        store: Store,
        settings: LevelSettings,
        deleted: Deleted = NONE_DELETED,
        *,
        insert_max_s: float,
        is_owner: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._settings = settings
        self._deleted = deleted
        self._is_owner = is_owner
        self._overlap_ms = int((settings.quiet_s + insert_max_s) * 1_000)
        self._since_ms: dict[Level, int] = {}
        self._next_full_at_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Recompute stale hours and days until ``stop`` is set, unless another process owns this.

        Errors are counted, and the next pass repeats what is missing.
        """
        while not stop.is_set():
            pause_s = self._settings.interval_s
            if self._is_owner():
                try:
                    if not await self.recompute():
                        pause_s = 0.0
                except Exception as error:  # noqa: BLE001  # the sink goes on, and the next pass
                    metrics.FAILURES.inc()
                    log.warning("levels_not_recomputed", reason=repr(error)[:300])
            try:
                await asyncio.wait_for(stop.wait(), pause_s)
            except TimeoutError:
                continue

    async def recompute(self) -> bool:
        """Recompute the hours and days that are stale; return whether none are left.

        1. Find ended hours that changed since they were recomputed, but not within the overlap.
        2. Recompute their rows. 3. Mark them as current. 4. Do the same with days whose hours are
        all current. After a crash before 3, the same is repeated, which changes nothing. Deleted
        projects are left out.

        Raises:
            StoreError: the store does not respond, or rejects the query for stale hours or days.
        """
        if time.monotonic() >= self._next_full_at_s:
            self._since_ms.clear()
            self._next_full_at_s = time.monotonic() + self._settings.full_scan_interval_s
        columns = await window_columns(self._store)
        existing = {column.name for column in await window_columns(self._store, HOURLY)}
        if not {column.name for column in columns} <= existing:
            log.warning("levels_lack_columns", detail="run tracemill migrate")
            return True
        hours = await self._recompute_level("hour", columns)
        days = await self._recompute_level("day", columns)
        return hours and days

    async def _recompute_level(self, level: Level, columns: Sequence[WindowColumn]) -> bool:
        (clock,) = await self._store.query(statements.NOW_MS)
        now_ms = int(clock["now_ms"])
        this = _Pass(now_ms, now_ms - self._overlap_ms)
        found, oldest_ms = await self._stale(level, this)
        metrics.PENDING.labels(level).set(len(found))
        metrics.LAG_S.labels(level).set(max(0, now_ms - oldest_ms) / 1000 if found else 0)
        is_all = len(found) < self._settings.buckets_max
        if not is_all:
            metrics.LIMIT_REACHED.labels("buckets_max").inc()
        failed = done = 0
        for batch in await self._batches(level, found):
            failed += await self._recompute_batch(level, columns, batch, this)
            done += len(batch)
            metrics.PENDING.labels(level).set(len(found) - done + failed)
        if len(found) >= REPORTED_BUCKETS:
            log.info("levels_recomputed", level=level, buckets=done - failed, is_all=is_all)
        if is_all and not failed:
            self._since_ms[level] = this.quiet_ms - LOOKBACK * LENGTH_S[level] * 1_000
        # Failed buckets wait for the next pass; without a pause, they would be repeated at once.
        return is_all or failed > 0

    async def _stale(self, level: Level, this: _Pass) -> tuple[list[Bucket], int]:
        """Return the stale buckets, newest first, and the time of their oldest change."""
        since_ms = self._since_ms.get(level)
        sql = statements.stale_hours if level == "hour" else statements.stale_days
        params: dict[str, int] = {
            "quiet_ms": this.quiet_ms,
            "now_ms": this.now_ms,
            "limit": self._settings.buckets_max,
        }
        if since_ms is not None:
            params["since_ms"] = since_ms
        rows = await self._store.query(sql(is_full=since_ms is None), params)
        deleted = self._deleted.ids
        rows = [row for row in rows if row["project_id"].encode() not in deleted]
        found = [Bucket(row["project_id"], row["start_s"]) for row in rows]
        return found, min((row["changed_ms"] for row in rows), default=this.now_ms)

    async def _batches(self, level: Level, buckets: Sequence[Bucket]) -> list[list[Bucket]]:
        """Split buckets into batches of one day, which have a limited number of windows."""
        by_day: dict[int, list[Bucket]] = {}
        for bucket in buckets:
            by_day.setdefault(bucket.start_s // LENGTH_S["day"], []).append(bucket)
        batches: list[list[Bucket]] = []
        for of_day in by_day.values():
            rows_of = await self._window_counts(of_day) if level == "hour" else {}
            batch: list[Bucket] = []
            rows = id_bytes = 0
            for bucket in of_day:
                rows += rows_of.get(bucket, 1)
                id_bytes += len(bucket.project_id)
                is_full = len(batch) >= self._settings.batch_buckets_max
                is_full |= rows > self._settings.batch_rows_max or id_bytes > ID_BYTES_MAX
                if batch and is_full:
                    batches.append(batch)
                    batch, rows, id_bytes = [], rows_of.get(bucket, 1), len(bucket.project_id)
                batch.append(bucket)
            batches.append(batch)
        return batches

    async def _window_counts(self, buckets: Sequence[Bucket]) -> dict[Bucket, int]:
        """Return the number of windows of each hour."""
        projects = sorted({each.project_id for each in buckets})
        params = {"projects": projects, **_bounds(buckets, "hour")}
        rows = await self._store.query(statements.COUNT_WINDOWS, params)
        return {Bucket(row["project_id"], row["start_s"]): row["rows"] for row in rows}

    async def _recompute_batch(
        self, level: Level, columns: Sequence[WindowColumn], batch: Sequence[Bucket], this: _Pass
    ) -> int:
        """Recompute and mark a batch, in halves if it is refused; return how many failed.

        Raises:
            StoreUnavailable: the store does not respond.
        """
        started_s = time.monotonic()
        try:
            await self._recompute_rows(level, columns, batch, this)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if isinstance(error, QueryLimitReached):
                metrics.LIMIT_REACHED.labels(_limit_of(error)).inc()
            middle = len(batch) // 2
            if middle == 0:
                return _failed(level, batch[0], error)
            halves = (batch[:middle], batch[middle:])
            return sum([await self._recompute_batch(level, columns, h, this) for h in halves])
        elapsed_s = time.monotonic() - started_s
        metrics.RECOMPUTED.labels(level).inc(len(batch))
        metrics.SECONDS.labels(level).observe(elapsed_s)
        await asyncio.sleep(elapsed_s * self._settings.pause_ratio)
        return 0

    async def _recompute_rows(
        self, level: Level, columns: Sequence[WindowColumn], batch: Sequence[Bucket], this: _Pass
    ) -> None:
        projects = sorted({each.project_id for each in batch})
        pairs = {
            "projects": projects,
            "owners": [projects.index(each.project_id) + 1 for each in batch],
            "starts": [each.start_s for each in batch],
        }
        params = {**pairs, **_bounds(batch, level), "version": this.now_ms}
        if level == "hour":
            steps = [statements.hours_of_windows(columns)]
            steps += [statements.reduced_hours(columns, cube) for cube in REDUCED]
        else:
            steps = [statements.days_of_hours(columns, cube) for cube in CUBES]
        for step in steps:
            await self._store.command(step, params, settings=self._statement_settings())
        mark = statements.MARK_HOURS if level == "hour" else statements.MARK_DAYS
        await self._store.command(mark, {**pairs, "quiet_ms": this.quiet_ms})

    def _statement_settings(self) -> dict[str, str]:
        settings = self._settings
        return {
            "max_threads": "1",
            "max_final_threads": "1",
            "max_insert_threads": "1",
            "max_execution_time": f"{settings.statement_max_s:g}",
            "max_memory_usage": str(settings.memory_max_bytes),
            "max_bytes_before_external_group_by": str(settings.memory_max_bytes // 2),
            "do_not_merge_across_partitions_select_final": "1",
            # In memory, a sketch has several kilobytes, which the store does not expect of a row.
            "max_block_size": "1024",
            "insert_deduplicate": "0",
            "optimize_on_insert": "0",
        }


def _failed(level: Level, bucket: Bucket, error: StoreError) -> int:
    """Report a bucket that stays stale until the next pass."""
    metrics.FAILURES.inc()
    log.warning(
        "levels_not_recomputed", level=level, project=bucket.project_id, start_s=bucket.start_s,
        reason=str(error)[:300],
    )  # fmt: skip
    return 1


def _bounds(buckets: Iterable[Bucket], level: Level) -> dict[str, int]:
    """Return the parameters of the time range of buckets."""
    starts = [each.start_s for each in buckets]
    return {"from_s": min(starts), "to_s": max(starts) + LENGTH_S[level]}


def _limit_of(error: QueryLimitReached) -> str:
    return "statement_max_s" if error.code in {159, 160} else "memory_max_bytes"
