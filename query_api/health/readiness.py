"""Check whether an event that is sent now would be stored and readable.

A check has a name and a probe. The probe returns None if it succeeds, and otherwise the reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from clickhouse.errors import MigrationError, StoreError
from clickhouse.migrate import plan
from clickhouse.settings import TieringSettings
from clickhouse.store import Store
from producers.control.kinds.api_key import ApiKey
from producers.control.log import ControlLog
from producers.kafka.broker_clock import BrokerClock
from query_api import metrics
from query_api.health.pipeline_watch import PipelineWatch
from query_api.settings import QuerySettings
from query_api.times import SECOND_US

Probe = Callable[[], Awaitable[str | None]]
OK: Final = "ok"
NOT_OK: Final = "not ready"
CACHE_AT_START_S: Final = 0.2
"""Maximum time for which results are cached, until all checks have succeeded once."""
RECHECK_INTERVAL_S: Final = 2.0
"""Interval of checks after one has failed, so that recovery is logged."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadinessCheck:
    name: str
    probe: Probe


class Readiness:
    """Run all checks concurrently, and cache the results briefly.

    It logs when checks begin to fail, and when all succeed again. A failure is a warning if all
    checks had succeeded before.
    """

    def __init__(self, checks: Sequence[ReadinessCheck], settings: QuerySettings) -> None:
        self._checks = tuple(checks)
        self._cache_s = settings.readiness_cache_s
        self._timeout_s = settings.readiness_timeout_s
        self._lock = asyncio.Lock()
        self._found: dict[str, str] = {}
        self._found_at_s = float("-inf")
        self._missing: set[str] = set()
        self._was_ready = False
        self._watching: asyncio.Task[None] | None = None

    async def check(self) -> Mapping[str, str]:
        """Return ``ok`` or the reason for each check, by name."""
        async with self._lock:
            cache_s = self._cache_s if self._was_ready else min(self._cache_s, CACHE_AT_START_S)
            if time.monotonic() - self._found_at_s >= cache_s:
                answers = await asyncio.gather(*(self._run_check(check) for check in self._checks))
                self._found = {
                    check.name: found for check, found in zip(self._checks, answers, strict=True)
                }
                self._found_at_s = time.monotonic()
                for name, found in self._found.items():
                    metrics.READY.labels(name).set(found == OK)
                self._log_changes()
            return self._found

    def _log_changes(self) -> None:
        failed = {name: found for name, found in self._found.items() if found != OK}
        missing = set(failed)
        if missing - self._missing:
            log_change = log.warning if self._was_ready else log.info
            reasons = dict.fromkeys(failed.values())  # several checks often have the same reason
            log_change("not_ready", missing=", ".join(failed), found="; ".join(reasons))
        elif self._missing and not missing:
            log.info("ready_again" if self._was_ready else "ready")
        self._missing = missing
        self._was_ready |= not missing
        if missing and self._was_ready and (self._watching is None or self._watching.done()):
            self._watching = asyncio.create_task(self._until_ready(), name="readiness")

    async def _until_ready(self) -> None:
        while self._missing:
            await asyncio.sleep(RECHECK_INTERVAL_S)
            await self.check()

    async def _run_check(self, check: ReadinessCheck) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await check.probe() or OK
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"


def readiness_checks(
    control: ControlLog,
    store: Store,
    tiering: TieringSettings,
    watch: PipelineWatch,
    clock: BrokerClock,
) -> tuple[ReadinessCheck, ...]:
    """Return the checks of each component that an event passes until it can be queried."""
    return (
        ReadinessCheck("keys", keys_probe(control)),
        ReadinessCheck("broker", watch.broker_fault),
        ReadinessCheck("store", store_probe(store, tiering)),
        ReadinessCheck("streams", lambda: watch.stage_fault(watch.streams)),
        ReadinessCheck("sink", lambda: watch.stage_fault(watch.sink)),
        ReadinessCheck("clock", clock.fault),
    )


def keys_probe(control: ControlLog) -> Probe:
    """Check that a project has a key; without one, every event is refused."""

    async def probe() -> str | None:
        if control.view[ApiKey]:
            return None
        return "no project has a key; `tracemill migrate` creates the first one"

    return probe


def store_probe(store: Store, tiering: TieringSettings) -> Probe:
    """Check that the store responds and has this version's schema."""

    async def probe() -> str | None:
        try:
            steps = await plan(store, tiering)
        except MigrationError as error:
            return f"the schema does not match this version: {error}"[:300]
        except StoreError as error:
            return f"the store does not answer: {error}"[:300]
        missing = [step.name for step in steps if step.number]
        return f"not migrated: {', '.join(missing)}" if missing else None

    return probe


async def newest_start_us(store: Store, bounds: str) -> int:
    """Return the approximate start of the newest observation or trace of all projects; 0 if none.

    This reads the metadata of parts, and no rows. ``bounds`` is the ``SETTINGS`` clause of the
    statement. Raises as ``Store.query``.
    """
    (row,) = await store.query(
        "SELECT toUnixTimestamp(max(max_time)) AS newest_s FROM system.parts"
        " WHERE active AND database = {database:String} AND table IN ('observations', 'traces')"
        f" {bounds}",
        {"database": store.database},
    )
    return int(row["newest_s"]) * SECOND_US
