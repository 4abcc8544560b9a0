"""Report the store's lag behind the row topics on a timer, so that stalls are visible."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from clickhouse.sink import metrics
from clickhouse.sink.batches import Batch
from producers.progress import PartitionProgress

RESPONSE_TIMEOUT_S: Final = 2.0
UNMEASURED_MAX_S: Final = 10.0
"""Age of the last measurement beyond which the sink's loop is considered blocked."""


class Lag:
    """The lag of each row topic; ``unstored`` returns a table's batches that are not stored yet."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        tables: Iterable[str],
        unstored: Callable[[str], list[Batch]],
        is_writing: Callable[[str], bool],
        table_of: Mapping[str, str],
        fetch_wait_max_s: float,
    ) -> None:
        self._consumer = consumer
        self._tables = tuple(tables)
        self._unstored = unstored
        self._is_writing = is_writing
        self._table_of = table_of
        self._work: list[PartitionProgress] = []
        self._reported_at_s = time.monotonic()
        # A broker processes the requests of a connection in order, so a request for offsets may
        # wait for a fetch.
        self._timeout_s = fetch_wait_max_s + RESPONSE_TIMEOUT_S
        self._reported: set[TopicPartition] = set()

    async def report(self) -> None:
        """Set the gauges; the lag in records is NaN while the broker does not respond."""
        self._report_seconds()
        self._reported_at_s = time.monotonic()
        mine = sorted(self._consumer.assignment())
        try:
            async with asyncio.timeout(self._timeout_s):
                ends = await self._consumer.end_offsets(mine) if mine else {}
                done = {partition: await self.stored_up_to(partition) for partition in mine}
        except (KafkaError, TimeoutError):
            for partition in mine:
                metrics.LAG_RECORDS.labels(_label(partition)).set(math.nan)
            self._work = [replace(each, waits_for="the broker") for each in self._work]
        else:
            self._work = [self._progress_of(each, done[each], ends[each]) for each in mine]
            for partition in mine:
                behind = max(0, ends[partition] - done[partition])
                metrics.LAG_RECORDS.labels(_label(partition)).set(behind)
        for partition in self._reported.difference(mine):
            metrics.LAG_RECORDS.remove(_label(partition))
        self._reported = set(mine)

    def work(self) -> list[PartitionProgress]:
        """Return the last measured position of each partition; other threads may call this.

        The sink's loop measures the positions, so they do not change while the loop is blocked. All
        are then returned as having input and waiting for nothing, so that a stall is detected.
        """
        if time.monotonic() - self._reported_at_s <= UNMEASURED_MAX_S:
            return self._work
        return [replace(each, has_input=True, waits_for="") for each in self._work]

    def _progress_of(self, partition: TopicPartition, done: int, end: int) -> PartitionProgress:
        is_writing = self._is_writing(self._table_of[partition.topic])
        waits_for = "the store" if is_writing else ""
        return PartitionProgress(
            "sink", partition.topic, partition.partition, done, end > done, waits_for
        )

    def _report_seconds(self) -> None:
        now_ms = time.time() * 1000
        for table in self._tables:
            waiting = [batch for batch in self._unstored(table) if batch.next_offsets]
            oldest_ms = min((batch.oldest_timestamp_ms for batch in waiting), default=now_ms)
            metrics.LAG_S.labels(table).set(max(0.0, (now_ms - oldest_ms) / 1000))

    async def stored_up_to(self, partition: TopicPartition) -> int:
        """Return the offset before which all records are stored."""
        first = [
            batch.first_offsets[partition]
            for table in self._tables
            for batch in self._unstored(table)
            if partition in batch.first_offsets
        ]
        return min(first) if first else int(await self._consumer.position(partition))


def _label(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"
