"""Complete the deletion of traces: delete their scores, and erase their superseded rows.

Stage 1 has deleted the traces from all totals and queries, see
``streams.core.observations.deletions``.
All steps can be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from clickhouse.trace_rows import (
    SupersededRows,
    begin_to_erase,
    partitions_with,
    trace_tables,
)
from producers.settings import KafkaSettings
from streams.core.observations.scores import version_of_time
from streams.core.observations.versions import version_floor
from streams.deletion import metrics
from streams.deletion.settings import TraceDeletionSettings
from tracemill.clock import now_us
from tracemill.contract import Score, encode_event
from tracemill.partitioning import partition_key, partition_of

log = structlog.get_logger(__name__)

SCORES: Final = "scores"
HOUR_US: Final = 3_600_000_000
IDS_BYTES_MAX: Final = 8_000
"""Maximum bytes of the ids of one query, because they are part of its URL. A single id is shorter.
"""
_SCORES_SQL: Final = """
SELECT id, toUnixTimestamp64Micro(event_time) AS event_us
FROM scores FINAL
WHERE project_id = {project:String} AND trace_id IN {traces:Array(String)}
LIMIT {limit:UInt32}
"""
_LATER_SCORES_SQL: Final = """
SELECT id, max(row_version) AS version, argMax(is_deleted, (row_version, is_deleted)) AS is_gone
FROM scores
WHERE project_id = {project:String} AND id IN (
    SELECT id FROM scores
    WHERE project_id = {project:String} AND trace_id IN {traces:Array(String)}
        AND is_deleted = 0 AND row_version >= {version:UInt64}
)
GROUP BY id HAVING is_gone
ORDER BY id LIMIT {limit:UInt32}
"""


def parts_of(trace_ids: Sequence[str], size: int) -> Iterator[list[str]]:
    """Yield the ids in parts of at most ``size`` that fit into a query."""
    part: list[str] = []
    part_bytes = 0
    for trace_id in trace_ids:
        id_bytes = len(trace_id.encode())
        if part and (len(part) >= size or part_bytes + id_bytes > IDS_BYTES_MAX):
            yield part
            part, part_bytes = [], 0
        part.append(trace_id)
        part_bytes += id_bytes
    if part:
        yield part


class TraceDeletions:
    """The steps of deleting traces that stage 1 has deleted."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: Store,
        producer: AIOKafkaProducer,
        settings: TraceDeletionSettings,
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._producer = producer
        self._settings = settings

    async def delete_scores(self, project_id: str, trace_ids: Sequence[str]) -> int:
        """Append deletions of the stored scores of traces to the events; return their number.

        Raises:
            StoreError: the store could not be read.
            KafkaError: the broker refused an event.
        """
        limit = self._settings.scores_at_once_max
        params = {"project": project_id, "traces": list(trace_ids), "limit": limit}
        found = await self._store.query(_SCORES_SQL, params)
        at_us = now_us()
        sent = []
        for row in found:
            event = Score(
                project_id=project_id,
                id=row["id"],
                # A score may have a time in the future, and its deletion must be later.
                ts_us=max(at_us, int(row["event_us"])),
                name="",
                data_type="NUMERIC",
                deleted=True,
            )
            key = partition_key(event)
            number = partition_of(project_id, key, self._kafka.event_partitions)
            topic = self._kafka.topics.events
            sent.append(await self._producer.send(topic, encode_event(event), partition=number))
        await asyncio.gather(*sent)
        metrics.DELETED_SCORES.inc(len(found))
        if len(found) >= limit:
            metrics.LIMIT_REACHED.labels("scores_at_once_max").inc()
        return len(found)

    async def erase(self, project_id: str, trace_ids: Sequence[str], deleted_us: int) -> None:
        """Rewrite the partitions with superseded rows of traces, which still contain texts.

        Args:
            project_id: the project.
            trace_ids: traces that were deleted within half an hour.
            deleted_us: when the first of them was deleted. Later rows belong to new traces of the
                same ids, which begin an hour later at the earliest.

        Raises:
            StoreError: the store did not answer, or refused a statement.
        """
        limit_us = deleted_us + HOUR_US
        for table, column in (await trace_tables(self._store)).items():
            below = version_of_time(limit_us) if table == SCORES else version_floor(limit_us)
            await self._erase_rows(table, column, SupersededRows(project_id, trace_ids, below))
            if table == SCORES:
                await self._erase_later_scores(project_id, trace_ids, below)

    async def _erase_later_scores(
        self, project_id: str, trace_ids: Sequence[str], version: int
    ) -> None:
        """Erase deleted scores from a version on, whose clients gave times in the future."""
        limit = self._settings.scores_at_once_max
        params = {
            "project": project_id, "traces": list(trace_ids), "version": version, "limit": limit,
        }  # fmt: skip
        found: list[dict[str, Any]] | None = None
        while found is None or len(found) == limit:  # what is erased is not found again
            found = await self._store.query(_LATER_SCORES_SQL, params)
            versions = {row["id"]: int(row["version"]) for row in found}
            for ids in parts_of(list(versions), self._settings.traces_at_once_max):
                below = max(versions[each] for each in ids)
                await self._erase_rows(SCORES, "id", SupersededRows(project_id, ids, below))

    async def _erase_rows(self, table: str, column: str, rows: SupersededRows) -> None:
        condition = rows.condition(column)
        for partition_id in await partitions_with(self._store, table, condition):
            await self._erase_partition(table, partition_id, condition)

    async def _erase_partition(self, table: str, partition_id: str, condition: str) -> None:
        await begin_to_erase(self._store, table, partition_id, condition)
        while partition_id in await partitions_with(self._store, table, condition):  # noqa: ASYNC110
            await asyncio.sleep(self._settings.poll_s)
        metrics.ERASED_PARTITIONS.labels(table).inc()
        log.info("trace_rows_erased", table=table, partition=partition_id)
