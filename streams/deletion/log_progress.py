"""Wait until the streams and the sink have processed all current records of the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from clickhouse.feed import Feed
from clickhouse.feeds import FEEDS
from producers.kafka.clients import new_admin, new_consumer, started, stopped
from producers.kafka.topics import CONTROL
from producers.settings import KafkaSettings

STOP_TIMEOUT_S = 2.0


class LogProgress:
    """The progress of consumers: the ends of topics, compared with committed offsets."""

    def __init__(self, kafka: KafkaSettings, poll_s: float, feeds: Iterable[Feed] = FEEDS) -> None:
        topics = kafka.topics
        self._kafka = kafka
        self._poll_s = poll_s
        # The control topic ends with markers of transactions, whose offsets are never committed.
        rows = [feed.topic_in(topics) for feed in feeds if feed.topic != CONTROL]
        self._stages = (
            (topics.streams_group, [topics.events]),
            (topics.streams_group, [topics.deltas]),
            (topics.sink_group, rows),
        )
        """Consumer groups with their topics, in the order of processing."""
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    async def wait_until_processed(self) -> None:
        """Wait until all current records of the log are processed, and their rows stored.

        Raises:
            KafkaError, BrokerUnavailableError: the broker did not respond.
        """
        if self._consumer is None:
            self._consumer = await started(lambda: new_consumer(self._kafka), self._kafka)
        if self._admin is None:
            self._admin = await started(lambda: new_admin(self._kafka), self._kafka)
        for group, topics in self._stages:
            # A stage commits after it has written its output, so the ends of the next topics are
            # queried after the commit.
            partitions = [each for topic in topics for each in await self._partitions(topic)]
            ends = await self._consumer.end_offsets(partitions)
            begins = await self._consumer.beginning_offsets(partitions)
            filled = {each: end for each, end in ends.items() if begins[each] < end}
            await self._committed(self._admin, group, filled)

    async def close(self) -> None:
        """Disconnect."""
        consumer, admin, self._consumer, self._admin = self._consumer, self._admin, None, None
        if consumer is not None:
            await stopped(consumer, STOP_TIMEOUT_S)
        if admin is not None:
            await admin.close()

    async def _partitions(self, topic: str) -> list[TopicPartition]:
        assert self._admin is not None
        (found,) = await self._admin.describe_topics([topic])
        return [TopicPartition(topic, each["partition"]) for each in found["partitions"]]

    async def _committed(
        self, admin: AIOKafkaAdminClient, group: str, behind: dict[TopicPartition, int]
    ) -> None:
        while behind:
            offsets = await admin.list_consumer_group_offsets(group, partitions=list(behind))
            behind = {
                partition: end
                for partition, end in behind.items()
                if partition not in offsets or offsets[partition].offset < end
            }
            if behind:
                await asyncio.sleep(self._poll_s)
