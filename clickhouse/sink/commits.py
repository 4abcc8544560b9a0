"""Offsets of rows that the store has: gathered for a moment, then committed together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError

log = structlog.get_logger(__name__)


class Commits:
    """What is to be committed. Losing it costs nothing but writing the same rows again."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._pending: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()

    @property
    def are_pending(self) -> bool:
        return bool(self._pending)

    def discharge(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Take note that the store has all rows before ``offsets``."""
        self._pending.update(offsets)

    async def commit(self) -> None:
        """Commit what is pending of partitions that are still ours; what the broker did not take stays pending."""
        async with self._committing:
            mine = self._consumer.assignment()
            offsets = {tp: offset for tp, offset in self._pending.items() if tp in mine}
            if not offsets:
                return
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalGenerationError):
                # Whoever has the partitions now begins at the last commit and writes the same rows again.
                log.info("commit_after_rebalance", partitions=len(offsets))
                self.forget(offsets)
            except KafkaError as error:
                log.warning("commit_failed", error=str(error))
            else:
                self._taken(offsets)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop what is pending of partitions that are no longer ours: an old offset must not replace a newer one should they come back."""
        for partition in partitions:
            self._pending.pop(partition, None)

    def _taken(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            if self._pending.get(partition) == offset:
                del self._pending[partition]
