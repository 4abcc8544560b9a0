"""Read rows of traces, observations and scores, while rules need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from clickhouse.feeds import observations, scores, traces
from producers.errors import ProducersError
from producers.kafka.clients import new_consumer, started, stopped
from producers.settings import KafkaSettings
from streams.alerting import metrics
from streams.alerting.evaluation import Evaluation

POLL_MS: Final = 500
RETRY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0
RECORDS_PER_TURN: Final = 8
"""Records that are passed on before other tasks run."""
TABLES: Final = {each.table: each for each in (traces.FEED, observations.FEED, scores.FEED)}
"""Feeds whose rows rules can need."""
OVERLAP_US: Final = 5_000_000
"""Rows of this time are read again after a restart, because append times are not exact."""

log = structlog.get_logger(__name__)


class RowReader:
    """A task that passes new rows to the evaluators that need them.

    Attributes:
        read_to_us: append time before which all rows were passed; 0 if none are needed.
    """

    def __init__(
        self, kafka: KafkaSettings, evaluation: Evaluation, now_us: Callable[[], int]
    ) -> None:
        self.read_to_us = 0
        self._kafka = kafka
        self._evaluation = evaluation
        self._now_us = now_us
        self._changed = asyncio.Event()

    @property
    def is_reading(self) -> bool:
        return bool(self.read_to_us)

    def request(self) -> None:
        """Check soon whether rows are needed."""
        self._changed.set()

    async def run(self) -> None:
        """Read while rows are needed, until cancelled; failures are retried."""
        while True:
            self._changed.clear()
            sources = self._evaluation.row_sources()
            if not sources:
                self.read_to_us = 0
                await self._changed.wait()
                continue
            self.read_to_us = self.read_to_us or min(sources.values())
            try:
                await self._read(frozenset(sources))
            except (KafkaError, ProducersError, OSError, TimeoutError) as error:
                metrics.ROW_FAILURES.inc()
                log.warning("rows_interrupted", reason=repr(error))
                await asyncio.sleep(RETRY_S)

    async def _read(self, sources: frozenset[str]) -> None:
        """Read until other sources are needed."""
        consumer: AIOKafkaConsumer = await started(
            lambda: new_consumer(
                self._kafka,
                auto_offset_reset="earliest",
                request_timeout_ms=int(self._kafka.request_timeout_s * 1_000),
            ),
            self._kafka,
        )
        try:
            older = self._evaluation.older_rows()
            partitions = await self._seek(consumer, sources, older)
            while self._needs_no_more(sources, older):
                begun_us = self._now_us()
                found = await consumer.getmany(timeout_ms=POLL_MS)
                number = 0
                for partition, records in found.items():
                    source = partition.topic.rpartition(".")[2]
                    for record in records:
                        self._evaluation.apply_rows(
                            source, record.value or b"", record.timestamp * 1_000
                        )
                        number += 1
                        if number % RECORDS_PER_TURN == 0:
                            await asyncio.sleep(0)  # other stages share the event loop
                metrics.ROW_RECORDS.inc(number)
                if await self._has_all(consumer, partitions):
                    self.read_to_us = max(self.read_to_us, begun_us)
                    self._evaluation.rows_read(older)
        finally:
            await stopped(consumer, STOP_TIMEOUT_S)

    def _needs_no_more(self, sources: frozenset[str], older: Mapping[str, int]) -> bool:
        """Return whether the tables are still the same, and no older rows are needed."""
        return self._evaluation.row_sources().keys() == sources and all(
            source in older and from_us >= older[source]
            for source, from_us in self._evaluation.older_rows().items()
        )

    async def _seek(
        self, consumer: AIOKafkaConsumer, sources: frozenset[str], older: Mapping[str, int]
    ) -> list[TopicPartition]:
        """Assign all partitions, from ``read_to_us`` or the older rows on."""
        names = {source: self._kafka.topics.of(TABLES[source].topic) for source in sources}
        partitions = [
            TopicPartition(names[source], number)
            for source in sorted(sources)
            for number in range(self._kafka.event_partitions)
        ]
        consumer.assign(partitions)
        from_us = self.read_to_us - OVERLAP_US
        topics = {names[source]: at_us for source, at_us in older.items() if source in names}
        found = await consumer.offsets_for_times(
            {
                each: max(0, min(from_us, topics.get(each.topic, from_us))) // 1_000
                for each in partitions
            }
        )
        ends = await consumer.end_offsets(partitions)
        for partition in partitions:
            at = found[partition]
            consumer.seek(partition, ends[partition] if at is None else at.offset)
        return partitions

    async def _has_all(
        self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
    ) -> bool:
        """Return whether all rows that the broker has announced were passed."""
        for partition in partitions:
            if (consumer.highwater(partition) or 0) > await consumer.position(partition):
                return False
        return True
