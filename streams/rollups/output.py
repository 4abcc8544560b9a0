"""Write the output of stage 2: dead letters, and rows of spend and windows with a checkpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
from aiokafka import AIOKafkaProducer

from clickhouse.rows import DeadLetterRow
from producers.kafka.topics import Topics
from streams.core.rollups.fold import Checkpoint, Flush
from streams.rollups import metrics
from streams.rollups.checkpoint import headers_of

RECORD_OVERHEAD_BYTES: Final = 64 * 1024
"""Upper bound of the bytes of a record in addition to its value and its largest headers."""


@dataclass(frozen=True, slots=True)
class Written:
    """The offsets at which a flush ends in its topics."""

    spend_to: int
    windows_to: int


@dataclass(slots=True)
class ProjectOutput:
    """The writer of one partition's output records."""

    producer: AIOKafkaProducer
    topics: Topics
    partition: int
    record_bytes: int
    record_max_bytes: int
    _dead_letters: list[asyncio.Task[object]] = field(default_factory=list)
    is_writing: bool = field(init=False, default=False)
    """Whether a flush is being written."""
    _spend_to: int = 0

    def begin(self, spend_to: int) -> None:
        """Set the current end of the partition of ``spend``."""
        self._spend_to = spend_to

    def dead_letter(self, row: DeadLetterRow) -> None:
        """Start sending a dead letter.

        This is not a coroutine, so that a flush that starts later waits for the acknowledgement.
        """
        sending = self.producer.send_and_wait(
            self.topics.dead_letters, msgspec.json.encode(row), partition=0
        )
        task = asyncio.create_task(sending, name=row.id)
        task.add_done_callback(_retrieve)
        self._dead_letters.append(task)

    async def write(self, flush: Flush) -> Written:
        """Write a flush; return when all of its records are acknowledged.

        1. Wait for dead letters. 2. Write spend. 3. Write all records of windows but the last.
        4. Write the last record, with the checkpoint.

        Raises:
            KafkaError: the broker refused a record. The state in memory is then ahead of the log.
        """
        metrics.FLUSH_ROWS.observe(len(flush.spend) + len(flush.windows))
        self.is_writing = True
        with metrics.FLUSH_S.time():
            await self._dead_letters_acknowledged()
            await self._send_spend(_records(flush.spend, self.record_bytes))
            *first, last = [*_records(flush.windows, self.record_bytes)] or [b""]
            headers = headers_of(flush.checkpoint, self._spend_to)
            marked_bytes = len(last) + sum(len(value) for _, value in headers)
            if marked_bytes > self.record_max_bytes - RECORD_OVERHEAD_BYTES:
                first, last = [*first, last], b""
            await self._send(self.topics.windows, first)
            windows_to = await self.write_checkpoint(flush.checkpoint, last)
        self.is_writing = False
        return Written(self._spend_to, windows_to)

    async def write_checkpoint(self, checkpoint: Checkpoint, windows: bytes = b"") -> int:
        """Write a checkpoint together with the last rows it covers; return the end of windows.

        Raises the same as ``write``.
        """
        marked = await self.producer.send_and_wait(
            self.topics.windows,
            windows,
            partition=self.partition,
            headers=headers_of(checkpoint, self._spend_to),
        )
        return int(marked.offset) + 1

    async def _dead_letters_acknowledged(self) -> None:
        """Return once the dead letters sent so far are acknowledged."""
        while self._dead_letters:
            await self._dead_letters[0]
            del self._dead_letters[0]

    async def _send_spend(self, values: Iterable[bytes]) -> None:
        for offset in await self._send(self.topics.spend, values):
            self._spend_to = offset + 1

    async def _send(self, topic: str, values: Iterable[bytes]) -> list[int]:
        """Return the offset of each record when all are acknowledged."""
        sent = [
            await self.producer.send(topic, value, partition=self.partition) for value in values
        ]
        return [record.offset for record in await asyncio.gather(*sent)]


def _records(lines: list[bytes], record_bytes: int) -> Iterator[bytes]:
    """Join lines to values of at most ``record_bytes``, unless a single line is longer."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and size + len(line) > record_bytes:
            yield b"\n".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield b"\n".join(chunk)


def _retrieve(sent: asyncio.Task[object]) -> None:
    """Retrieve a task's exception, because a failed partition does not await its tasks."""
    if not sent.cancelled():
        sent.exception()
