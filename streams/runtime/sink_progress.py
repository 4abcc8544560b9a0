"""How far the store is: the sink's committed offsets."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from producers.kafka.clients import new_admin
from producers.settings import KafkaSettings

log = structlog.get_logger(__name__)

SAY_AFTER_S = 5.0


class SinkProgress:
    """Everything before a committed offset can be read from the store."""

    def __init__(self, kafka: KafkaSettings, poll_s: float) -> None:
        self._group = kafka.topics.sink_group
        self._poll_s = poll_s
        self._admin = new_admin(kafka)

    async def start(self) -> None:
        await self._admin.start()

    async def stop(self) -> None:
        await self._admin.close()

    async def committed(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset before which everything is stored, 0 where the sink has committed nothing.

        Raises:
            KafkaError: the broker did not answer.
        """
        offsets = await self._admin.list_consumer_group_offsets(self._group, partitions=partitions)
        return {tp: max(0, offsets[tp].offset) if tp in offsets else 0 for tp in partitions}

    async def stored(self, ends: dict[TopicPartition, int]) -> None:
        """Return once the store has everything before ``ends``, however long that takes."""
        loop = asyncio.get_running_loop()
        say_at = loop.time() + SAY_AFTER_S
        while True:
            try:
                committed = await self.committed(list(ends))
            except KafkaError as error:
                log.warning("sink_progress_unknown", reason=repr(error))
                committed = {}
            behind = {tp: end for tp, end in ends.items() if committed.get(tp, 0) < end}
            if not behind:
                return
            if loop.time() >= say_at:
                log.warning(
                    "waiting_for_the_sink", behind={tp.topic: end for tp, end in behind.items()}
                )
                say_at = loop.time() + SAY_AFTER_S
            await asyncio.sleep(self._poll_s)
