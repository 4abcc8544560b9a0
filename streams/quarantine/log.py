"""Reads and writes the quarantine log: workers' attempts, and records that are not processed.

``streams.core.quarantine.quarantined`` describes its records and what follows from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from clickhouse.rows import DeadLetterRow
from producers.settings import KafkaSettings
from streams.core.quarantine.quarantined import Attempt, Entry, Kind, next_attempt
from streams.errors import QuarantineFullError
from streams.quarantine import metrics
from streams.quarantine.settings import QuarantineSettings
from streams.runtime.log_tail import LogTail

log = structlog.get_logger(__name__)

_encode: Final = msgspec.json.Encoder().encode
_attempts: Final = msgspec.json.Decoder(Attempt)
_entries: Final = msgspec.json.Decoder(Entry)

Source = tuple[Kind, int]
"""A partition of ``events`` or of ``deltas``."""


def entry_key(entry: Entry) -> bytes:
    """The key of its record in the log."""
    return f"entry/{entry.id}".encode()


def topic_of(kafka: KafkaSettings, kind: Kind) -> str:
    """The topic that a kind of source records is in."""
    return kafka.topics.events if kind == "events" else kafka.topics.deltas


class QuarantineView:
    """The current attempts and entries of the log."""

    def __init__(self) -> None:
        self.attempts: dict[Source, Attempt] = {}
        self.entries: dict[Source, dict[int, Entry]] = {}
        self.states: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(self.states.values())

    def every(self) -> Iterator[Entry]:
        """All entries, by topic, partition and offset."""
        for source in sorted(self.entries):
            yield from (entry for _, entry in sorted(self.entries[source].items()))

    def apply(self, record: ConsumerRecord) -> None:
        """Take the next record of the log; one that this version does not know is skipped."""
        try:
            word, kind, number, *offset = (record.key or b"").decode().split("/")
            source: Source = ("events" if kind == "events" else "deltas", int(number))
            if word == "attempt" and record.value is not None:
                self.attempts[source] = _attempts.decode(record.value)
            elif word == "entry":
                entry = None if record.value is None else _entries.decode(record.value)
                self._put(source, int(offset[0]), entry)
        except (ValueError, IndexError, msgspec.MsgspecError) as error:
            log.warning("quarantine_record_skipped", offset=record.offset, reason=repr(error))

    def put(self, entry: Entry) -> None:
        self._put((entry.kind, entry.partition), entry.offset, entry)

    def _put(self, source: Source, offset: int, entry: Entry | None) -> None:
        entries = self.entries.setdefault(source, {})
        before = entries.pop(offset, None)
        if before is not None:
            self.states[before.state] -= 1
        if entry is not None:
            entries[offset] = entry
            self.states[entry.state] += 1


class QuarantineLog:
    """One per process; ``start`` it before partitions are assigned."""

    def __init__(
        self, kafka: KafkaSettings, settings: QuarantineSettings, producer: AIOKafkaProducer
    ) -> None:
        self.settings = settings
        self.kafka = kafka
        self.alone = asyncio.Lock()
        """Held while a record is processed alone: two could not be told apart when the process
        ends."""
        self._view = QuarantineView()
        self._producer = producer
        self._topic = kafka.topics.quarantine
        self._tail = LogTail(kafka, self._topic, self._apply)

    async def start(self) -> None:
        """Begin to follow the log.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        await self._tail.start()

    async def stop(self) -> None:
        await self._tail.stop()

    def entries(self, kind: Kind, partition: int) -> dict[int, Entry]:
        """The records of a partition that are not processed, by offset; it stays up to date."""
        return self._view.entries.setdefault((kind, partition), {})

    async def begin(self, kind: Kind, partition: int, resume_after: int) -> Attempt:
        """Write that this worker continues after ``resume_after``; return its attempt."""
        await self._tail.caught_up()
        before = self._view.attempts.get((kind, partition))
        attempt = next_attempt(before, resume_after, secrets.token_hex(8))
        await self.write(kind, partition, attempt)
        return attempt

    async def write(self, kind: Kind, partition: int, attempt: Attempt) -> None:
        """Write how an attempt stands; return once it is acknowledged."""
        key = f"attempt/{kind}/{partition}".encode()
        await self._producer.send_and_wait(self._topic, _encode(attempt), key=key, partition=0)

    async def end(self, kind: Kind, partition: int, attempt: Attempt) -> None:
        """Write that an attempt ended cleanly, if there is time and no other attempt followed."""
        latest = self._view.attempts.get((kind, partition))
        if latest is not None and latest.id != attempt.id:
            return
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(self.settings.write_timeout_s):
                ended = msgspec.structs.replace(attempt, ended=True, entering=-1)
                await self.write(kind, partition, ended)

    async def set_aside(self, entry: Entry, letters: Sequence[DeadLetterRow]) -> None:
        """Quarantine a record: 1. its dead letters, 2. the entry, which counts from then on.

        Raises:
            QuarantineFullError: ``entries_max`` records are in quarantine.
            KafkaError: the broker did not take it; the next worker finds the same again.
        """
        if len(self._view) >= self.settings.entries_max:
            metrics.LIMIT_REACHED.labels("entries_max").inc()
            raise QuarantineFullError(
                f"{len(self._view)} records are in quarantine (TRACEMILL_QUARANTINE_ENTRIES_MAX): "
                "see `tracemill quarantine list`"
            )
        topic = self.kafka.topics.dead_letters
        for letter in letters:
            await self._producer.send_and_wait(topic, _encode(letter), partition=0)
        await self._producer.send_and_wait(
            self._topic, _encode(entry), key=entry_key(entry), partition=0
        )
        self._view.put(entry)

    async def end_of(self, kind: Kind, partition: int) -> int:
        """Return the current end offset of a source partition."""
        return await self._tail.end_of(TopicPartition(topic_of(self.kafka, kind), partition))

    def _apply(self, record: ConsumerRecord) -> None:
        self._view.apply(record)
        for state, entries in self._view.states.items():
            metrics.ENTRIES.labels(state).set(entries)
