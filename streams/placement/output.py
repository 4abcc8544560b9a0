"""Append placed events, and events that still wait, to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from aiokafka import AIOKafkaProducer

from producers.settings import KafkaSettings
from streams.runtime.output import KafkaOutput
from tracemill.partitioning import partition_of


class PlacementOutput:
    """A writer that groups lines into records of about ``record_bytes`` per partition."""

    def __init__(self, kafka: KafkaSettings, producer: AIOKafkaProducer, record_bytes: int) -> None:
        self._kafka = kafka
        self._output = KafkaOutput(producer)
        self._record_bytes = record_bytes

    async def to_events(self, lines: Iterable[tuple[str, str, bytes]]) -> None:
        by_partition: dict[int, list[bytes]] = {}
        for project_id, trace_id, line in lines:
            number = partition_of(project_id, trace_id, self._kafka.event_partitions)
            by_partition.setdefault(number, []).append(line)
        await self._send(self._kafka.topics.events, by_partition)

    async def to_waiting(self, lines: Iterable[bytes]) -> None:
        await self._send(self._kafka.topics.unplaced_updates, {0: list(lines)})

    async def _send(self, topic: str, by_partition: dict[int, list[bytes]]) -> None:
        sent = [
            await self._output.send(topic, number, value)
            for number, lines in by_partition.items()
            for value in self._records(lines)
        ]
        await asyncio.gather(*sent)

    def _records(self, lines: list[bytes]) -> Iterator[bytes]:
        some: list[bytes] = []
        size = 0
        for line in lines:
            if some and size + len(line) > self._record_bytes:
                yield b"\n".join(some)
                some, size = [], 0
            some.append(line)
            size += len(line) + 1
        if some:
            yield b"\n".join(some)
