"""How far the store is behind the row topics, told all the time: also, and above all, while nothing moves."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from clickhouse.sink import metrics
from clickhouse.sink.batches import Batch

ANSWER_TIMEOUT_S: Final = 2.0


class Lag:
    """Sets the gauges; ``undone`` gives the batches of a table that are not stored yet."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        tables: Iterable[str],
        undone: Callable[[str], list[Batch]],
        fetch_wait_max_s: float,
    ) -> None:
        self._consumer = consumer
        self._tables = tuple(tables)
        self._undone = undone
        # The broker answers a connection's requests one by one: this one waits for the fetch before it.
        self._timeout_s = fetch_wait_max_s + ANSWER_TIMEOUT_S
        self._told: set[TopicPartition] = set()

    async def report(self) -> None:
        """Seconds from what is in hand; records from the ends of the topics, NaN while the broker does not tell them."""
        self._tell_seconds()
        mine = sorted(self._consumer.assignment())
        try:
            async with asyncio.timeout(self._timeout_s):
                ends = await self._consumer.end_offsets(mine) if mine else {}
                done = {partition: await self.stored_up_to(partition) for partition in mine}
        except (KafkaError, TimeoutError):
            for partition in mine:
                metrics.LAG_RECORDS.labels(_label(partition)).set(math.nan)
        else:
            for partition in mine:
                behind = max(0, ends[partition] - done[partition])
                metrics.LAG_RECORDS.labels(_label(partition)).set(behind)
        for partition in self._told.difference(mine):
            metrics.LAG_RECORDS.remove(_label(partition))
        self._told = set(mine)

    def _tell_seconds(self) -> None:
        now_ms = time.time() * 1000
        for table in self._tables:
            waiting = [batch for batch in self._undone(table) if batch.next_offsets]
            oldest_ms = min((batch.oldest_timestamp_ms for batch in waiting), default=now_ms)
            metrics.LAG_S.labels(table).set(max(0.0, (now_ms - oldest_ms) / 1000))

    async def stored_up_to(self, partition: TopicPartition) -> int:
        """The offset before which everything is stored."""
        first = [
            batch.first_offsets[partition]
            for table in self._tables
            for batch in self._undone(table)
            if partition in batch.first_offsets
        ]
        return min(first) if first else int(await self._consumer.position(partition))


def _label(partition: TopicPartition) -> str:
    return f"{partition.topic}/{partition.partition}"
