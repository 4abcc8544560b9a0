"""Write the log's positions to the store, so that a replaced or truncated log is detected.

The log is the set of all Kafka topics; see ``LogPosition``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from clickhouse.errors import StoreError
from clickhouse.log_positions import LogPosition, write_positions
from clickhouse.sink.lag import RESPONSE_TIMEOUT_S
from clickhouse.store import Store
from producers.settings import KafkaSettings

HEARTBEAT_S: Final = 60.0
"""Interval of writing all positions, even if unchanged, so that their time stays recent."""

log = structlog.get_logger(__name__)

StoredUpTo = Callable[[TopicPartition], Awaitable[int]]
"""Return the offset before which all records of a partition are stored."""


class PositionWriter:
    """Write the positions of the partitions that are assigned to this sink.

    The sink of the control topic also writes those of the streams' input topics.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        admin: AIOKafkaAdminClient,
        store: Store,
        kafka: KafkaSettings,
        stored_up_to: StoredUpTo,
        *,
        timeout_s: float,
    ) -> None:
        self._consumer = consumer
        self._admin = admin
        self._store = store
        self._kafka = kafka
        self._stored_up_to = stored_up_to
        self._timeout_s = timeout_s + RESPONSE_TIMEOUT_S
        self._cluster_id = ""
        self._written: dict[TopicPartition, tuple[int, int]] = {}
        self._version = 0
        self._next_heartbeat_s = 0.0

    async def write(self, *, is_last: bool = False) -> None:
        """Write the positions that changed since the last successful write.

        All positions are written if ``is_last``, and at intervals of ``HEARTBEAT_S``.
        """
        if is_last or time.monotonic() >= self._next_heartbeat_s:
            self._next_heartbeat_s = time.monotonic() + HEARTBEAT_S
            self._written.clear()
        try:
            async with asyncio.timeout(self._timeout_s):
                positions = await self._positions()
            await write_positions(self._store, positions)
        except (KafkaError, StoreError, TimeoutError) as error:
            log.warning("log_positions_not_written", reason=repr(error)[:300])
        else:
            for each in positions:
                partition = TopicPartition(each.topic, each.topic_partition)
                self._written[partition] = (each.end_offset, each.stored_offset)

    async def _positions(self) -> list[LogPosition]:
        if not self._cluster_id:
            self._cluster_id = (await self._admin.describe_cluster())["cluster_id"]
        mine = sorted(self._consumer.assignment())
        if not mine:
            return []
        found = {each: await self._stored_up_to(each) for each in mine}
        topics = self._kafka.topics
        if TopicPartition(topics.control, 0) in mine:  # only one sink has this partition
            found |= await self._committed()
        ends = await self._consumer.end_offsets(list(found))
        self._version = max(self._version + 1, time.time_ns() // 1_000_000)
        return [
            LogPosition(
                topic=each.topic,
                topic_partition=each.partition,
                cluster_id=self._cluster_id,
                end_offset=ends[each],
                stored_offset=min(offset, ends[each]),
                row_version=self._version,
            )
            for each, offset in found.items()
            if self._written.get(each) != (ends[each], min(offset, ends[each]))
        ]

    async def _committed(self) -> dict[TopicPartition, int]:
        """Return the committed offsets of the streams' input topics."""
        kafka, topics = self._kafka, self._kafka.topics
        partitions = [TopicPartition(topics.events, each) for each in range(kafka.event_partitions)]
        partitions += [
            TopicPartition(topics.deltas, each) for each in range(kafka.project_partitions)
        ]
        offsets = await self._admin.list_consumer_group_offsets(
            topics.streams_group, partitions=partitions
        )
        return {each: max(0, offsets[each].offset) if each in offsets else 0 for each in partitions}
