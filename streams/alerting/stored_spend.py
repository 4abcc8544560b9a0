"""Read the stored spend that evaluators need, such as that of a new budget's current period."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from clickhouse.errors import StoreError
from clickhouse.store import Store
from producers.errors import ProducersError
from producers.kafka.clients import new_admin, started
from producers.settings import KafkaSettings
from streams.alerting import metrics
from streams.alerting.evaluation import Evaluation
from streams.alerting.settings import AlertingSettings
from streams.core.budgets.stored_spend import query_of, result_of
from streams.core.budgets.sums import SpendQuery, SpendResult
from streams.core.dead_letters.texts import describe_error
from streams.rollups.checkpoint import read_progress
from streams.runtime.sink_progress import SinkProgress

POLL_S: Final = 0.1
NO_VERSION: Final = 2**63 - 2
"""Base of row versions while the log has no rows: no stored row belongs to it."""

log = structlog.get_logger(__name__)


class SpendSource(Protocol):
    """A source of stored spend."""

    async def read(self, partition: int, query: SpendQuery) -> SpendResult:
        """Return the stored spend; its rows contain all changes up to the query's offset.

        Raises:
            StoreError, KafkaError, ProducersError, OSError: a dependency does not answer.
        """


class StoredSpend:
    """The table ``spend``, read when the rollups stage and the sink have passed an offset."""

    def __init__(self, kafka: KafkaSettings, store: Store) -> None:
        self._kafka = kafka
        self._store = store

    async def read(self, partition: int, query: SpendQuery) -> SpendResult:
        """Read the spend.

        1. Wait until the rollups stage has written rows with all changes up to the offset.
        2. Wait until the sink has stored these rows. 3. Query them. Raises as in ``SpendSource``.
        """
        admin: AIOKafkaAdminClient = await started(lambda: new_admin(self._kafka), self._kafka)
        try:
            await self._written(admin, partition, query.offset)
        finally:
            await admin.close()
        progress = await read_progress(self._kafka, partition)
        sink = SinkProgress(self._kafka, POLL_S)
        await sink.start()
        try:
            await sink.stored(progress.ends)
        finally:
            await sink.stop()
        checkpoint = progress.checkpoint
        version_base = NO_VERSION if checkpoint is None else checkpoint.version_base
        if checkpoint is None:
            query = SpendQuery(query.meter, query.start_us, query.end_us, -1)
        sql, params = query_of(query, version_base)
        lines = await self._store.query_bytes(sql, params)
        return await asyncio.to_thread(result_of, lines, version_base)

    async def _written(self, admin: AIOKafkaAdminClient, partition: int, offset: int) -> None:
        deltas = TopicPartition(self._kafka.topics.deltas, partition)
        while offset >= 0:
            found = await admin.list_consumer_group_offsets(
                self._kafka.topics.streams_group, partitions=[deltas]
            )
            if deltas in found and found[deltas].offset > offset:
                return
            await asyncio.sleep(POLL_S)


async def read_spend(
    partition: int, evaluation: Evaluation, source: SpendSource, settings: AlertingSettings
) -> None:
    """Read the stored spend that the evaluators of a partition need, until cancelled."""
    running: set[asyncio.Task[None]] = set()
    try:
        while True:
            running = {task for task in running if not task.done()}
            free = settings.budget_readings_max - len(running)
            for query in evaluation.spend_queries(free) if free > 0 else ():
                task = asyncio.create_task(
                    _read(partition, query, evaluation, source, settings.budget_retry_s)
                )
                running.add(task)
            await asyncio.sleep(settings.tick_interval_s)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _read(
    partition: int,
    query: SpendQuery,
    evaluation: Evaluation,
    source: SpendSource,
    retry_s: float,
) -> None:
    result: SpendResult | None = None
    try:
        result = await source.read(partition, query)
    except (StoreError, KafkaError, ProducersError, OSError, ValueError) as error:
        metrics.SPEND_READS.labels("failed").inc()
        log.warning("stored_spend_unknown", partition=partition, reason=describe_error(error))
        await asyncio.sleep(retry_s)
    else:
        metrics.SPEND_READS.labels("ok").inc()
    evaluation.spend_read(query, result)
