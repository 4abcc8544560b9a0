"""Delete a project: its control records and its rows in every table, including later ones.

After any failure or restart, all steps are repeated. A repeated step changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from clickhouse.project_rows import (
    ProjectTable,
    begin_to_delete,
    partitions_with_rows,
    project_tables,
    rows_in_partition,
)
from clickhouse.store import Store
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.settings import KafkaSettings
from streams.core.dead_letters.texts import describe_error
from streams.deletion import metrics
from streams.deletion.compacted_topics import remove_records
from streams.deletion.log_progress import LogProgress
from streams.deletion.settings import DeletionSettings
from tracemill.clock import now_us

log = structlog.get_logger(__name__)


class ProjectDeletion:
    """The deletion of one project."""

    def __init__(
        self,
        project_id: str,
        kafka: KafkaSettings,
        control: ControlLog,
        store: Store,
        settings: DeletionSettings,
        feeds: Iterable[Feed] = FEEDS,
    ) -> None:
        self._project_id = project_id
        self._kafka = kafka
        self._control = control
        self._store = store
        self._settings = settings
        self._feeds = tuple(feeds)
        self._log = LogProgress(kafka, settings.poll_s, self._feeds)
        self._requested_at_s: dict[tuple[str, str], float] = {}
        """Time of the last request to rewrite a partition, by table and partition."""

    async def run(self) -> None:
        """Delete everything of the project, then change its state to ``deleted``.

        1. Delete its control records, so that no more events are accepted.
        2. Wait until the streams and the sink have processed all accepted events.
        3. Delete its rows, and its records on compacted topics.
        4. After a pause, repeat from step 1 until nothing was found: processes that had not yet
           read the new state may have written more. Later rows are dropped by the sink.
        5. Change the project's state.
        """
        try:
            while self._is_deleting():
                try:
                    await self._delete_all()
                    await asyncio.sleep(self._settings.settle_s)
                    if not await self._delete_all():
                        await self._report()
                except Exception as error:  # noqa: BLE001  # any failure may be temporary
                    await self._wait_after(error)
        finally:
            await self._log.close()

    def _is_deleting(self) -> bool:
        project = self._control.view[Project].get(self._project_id)
        return project is not None and project.state == "deleting"

    async def _wait_after(self, error: Exception) -> None:
        metrics.FAILURES.inc()
        reason = describe_error(error)
        log.warning("project_deletion_delayed", project=self._project_id, reason=reason)
        await self._log.close()
        await asyncio.sleep(self._settings.retry_pause_s)

    async def _delete_all(self) -> int:
        """Delete all records and rows; return how many there were."""
        records = await self._delete_records()
        await self._log.wait_until_processed()
        records += await remove_records(self._kafka, self._project_id, self._feeds)
        await self._until_control_log_is_stored()
        return records + await self._delete_rows()

    async def _delete_records(self) -> int:
        await self._control.caught_up()
        records = self._control.view.records()
        owned = [each for each in records if each.owner == self._project_id]
        for record in owned:
            if await self._control.delete(record.kind, record.id):
                metrics.DELETED_RECORDS.labels(record.kind).inc()
        return len(owned)

    async def _until_control_log_is_stored(self) -> None:
        """Wait until the sink has stored the control log up to the start of the deletion."""
        begun_at = self._control.version_of(Project.kind, self._project_id)
        while True:
            sql = "SELECT count() AS rows FROM control_log WHERE log_offset >= {offset:UInt64}"
            (found,) = await self._store.query(sql, {"offset": begun_at or 0})
            if found["rows"]:
                return
            await asyncio.sleep(self._settings.poll_s)

    async def _delete_rows(self) -> int:
        """Delete the rows of every table; return how many there were."""
        deleted = 0
        free = asyncio.Semaphore(self._settings.partitions_at_once_max)
        for table in await project_tables(self._store, self._feeds):
            partitions = await partitions_with_rows(self._store, table, self._project_id)
            rows = sum(each.rows for each in partitions)
            if not rows:
                continue
            if len(partitions) > self._settings.partitions_at_once_max:
                metrics.LIMIT_REACHED.labels("partitions_at_once_max").inc()
            deletions = (
                self._delete_partition(table, each.partition_id, free) for each in partitions
            )
            outcomes = await asyncio.gather(*deletions, return_exceptions=True)
            for failure in filter(None, outcomes):
                raise failure
            metrics.DELETED_ROWS.labels(table.name).inc(rows)
            log.info("project_rows_deleted", project=self._project_id, table=table.name, rows=rows)
            deleted += rows
        return deleted

    async def _delete_partition(
        self, table: ProjectTable, partition_id: str, free: asyncio.Semaphore
    ) -> None:
        """Delete the project's rows in one partition. Raises like ``Store.query``."""
        async with free:
            await self._request_rewrite(table, partition_id)
            while await rows_in_partition(self._store, table, partition_id, self._project_id):
                await asyncio.sleep(self._settings.poll_s)
                await self._request_rewrite(table, partition_id)
            self._requested_at_s.pop((table.name, partition_id), None)

    async def _request_rewrite(self, table: ProjectTable, partition_id: str) -> None:
        """Request a rewrite; repeat this after ``rewrite_timeout_s``, in case rows were added."""
        now_s = asyncio.get_running_loop().time()
        requested_at_s = self._requested_at_s.get((table.name, partition_id))
        if requested_at_s is not None:
            if now_s < requested_at_s + self._settings.rewrite_timeout_s:
                return
            metrics.LIMIT_REACHED.labels("rewrite_timeout_s").inc()
        await begin_to_delete(self._store, table, partition_id, self._project_id)
        self._requested_at_s[table.name, partition_id] = now_s

    async def _report(self) -> None:
        """Change the project's state to ``deleted``."""
        await self._control.update(
            Project,
            self._project_id,
            lambda current: current.model_copy(
                update={"state": "deleted", "deleted_at_us": now_us()}
            ),
        )
        log.info("project_deleted", project=self._project_id)
