"""Read the sink's committed offsets; the store has all rows before them."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.kafka.clients import new_admin
from producers.settings import KafkaSettings

log = structlog.get_logger(__name__)

LOG_INTERVAL_S = 5.0


class SinkProgress:
    """The sink's committed offsets: the store has all rows before them."""

    def __init__(self, kafka: KafkaSettings, poll_s: float) -> None:
        self._group = kafka.topics.sink_group
        self._poll_s = poll_s
        self._admin = new_admin(kafka)

    async def start(self) -> None:
        await self._admin.start()

    async def stop(self) -> None:
        await self._admin.close()

    async def committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset of each partition before which all rows are stored.

        It is 0 if nothing is committed.

        Raises:
            KafkaError: the broker did not answer.
        """
        offsets = await self._admin.list_consumer_group_offsets(self._group, partitions=partitions)
        return {tp: max(0, offsets[tp].offset) if tp in offsets else 0 for tp in partitions}

    async def stored(self, ends: dict[TopicPartition, int]) -> None:
        """Wait until the store has all rows before ``ends``; there is no timeout."""
        loop = asyncio.get_running_loop()
        log_at = loop.time() + LOG_INTERVAL_S
        while True:
            try:
                committed = await self.committed(list(ends))
            except KafkaError as error:
                log.warning("sink_progress_unknown", reason=repr(error))
                committed = {}
            behind = {tp: end for tp, end in ends.items() if committed.get(tp, 0) < end}
            if not behind:
                return
            if loop.time() >= log_at:
                log.warning(
                    "waiting_for_the_sink", behind={tp.topic: end for tp, end in behind.items()}
                )
                log_at = loop.time() + LOG_INTERVAL_S
            await asyncio.sleep(self._poll_s)
