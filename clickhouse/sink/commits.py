"""Commit the offsets of stored rows, at intervals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalGenerationError, KafkaError

log = structlog.get_logger(__name__)


class Commits:
    """Collects offsets to commit; if some are lost, their rows are read and inserted again."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._pending: dict[TopicPartition, int] = {}
        self._committing = asyncio.Lock()

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def add(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Add the offsets before which all rows are stored."""
        self._pending.update(offsets)

    async def commit(self) -> None:
        """Commit the pending offsets of assigned partitions; after an error they remain pending."""
        async with self._committing:
            mine = self._consumer.assignment()
            offsets = {tp: offset for tp, offset in self._pending.items() if tp in mine}
            if not offsets:
                return
            try:
                await self._consumer.commit(offsets)
            except (CommitFailedError, IllegalGenerationError):
                # The next consumer of these partitions starts at the last commit and inserts the
                # rows again.
                log.info("commit_after_rebalance", partitions=len(offsets))
                self.forget(offsets)
            except KafkaError as error:
                log.warning("commit_failed", error=str(error))
            else:
                self._remove(offsets)

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Drop the pending offsets of revoked partitions.

        If the partitions are assigned again, newer commits must not be overwritten.
        """
        for partition in partitions:
            self._pending.pop(partition, None)

    def _remove(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            if self._pending.get(partition) == offset:
                del self._pending[partition]
