"""Read and write the quarantine log: attempts of workers, and quarantined records.

``streams.core.quarantine.quarantined`` describes its records and how they are used.
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
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from streams.core.quarantine.quarantined import Attempt, Entry, Kind, next_attempt
from streams.errors import QuarantineFullError
from streams.quarantine import metrics
from streams.quarantine.settings import QuarantineSettings

log = structlog.get_logger(__name__)

_encode: Final = msgspec.json.Encoder().encode
_attempts: Final = msgspec.json.Decoder(Attempt)
_entries: Final = msgspec.json.Decoder(Entry)

Source = tuple[Kind, int]
"""A partition of ``events`` or of ``deltas``."""


def entry_key(entry: Entry) -> bytes:
    """Return the key of an entry in the log."""
    return f"entry/{entry.id}".encode()


def topic_of(kafka: KafkaSettings, kind: Kind) -> str:
    """Return the topic of a kind of source records."""
    return kafka.topics.events if kind == "events" else kafka.topics.deltas


class QuarantineView:
    """The current attempts and entries of the log."""

    def __init__(self) -> None:
        self.attempts: dict[Source, Attempt] = {}
        self.entries: dict[Source, dict[int, Entry]] = {}
        self.states: Counter[str] = Counter()

    def __len__(self) -> int:
        return sum(self.states.values())

    def all_entries(self) -> Iterator[Entry]:
        """Yield all entries, by topic, partition and offset."""
        for source in sorted(self.entries):
            yield from (entry for _, entry in sorted(self.entries[source].items()))

    def apply(self, record: ConsumerRecord) -> None:
        """Apply the next record of the log; skip records of an unknown format."""
        try:
            record_type, kind, number, *offset = (record.key or b"").decode().split("/")
            source: Source = ("events" if kind == "events" else "deltas", int(number))
            if record_type == "attempt" and record.value is not None:
                self.attempts[source] = _attempts.decode(record.value)
            elif record_type == "entry":
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
    """The quarantine log of a process; call ``start`` before partitions are assigned."""

    def __init__(
        self, kafka: KafkaSettings, settings: QuarantineSettings, producer: AIOKafkaProducer
    ) -> None:
        self.settings = settings
        self.kafka = kafka
        self.alone = asyncio.Lock()
        """Held while a record is processed alone, so that a crash has only one possible cause."""
        self._view = QuarantineView()
        self._producer = producer
        self._topic = kafka.topics.quarantine
        self._reader = LogReader(
            kafka, TopicPartition(self._topic, 0), self._apply, isolation="read_uncommitted"
        )

    async def start(self) -> None:
        """Start to follow the log.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        await self._reader.start()

    async def stop(self) -> None:
        await self._reader.stop()

    def entries(self, kind: Kind, partition: int) -> dict[int, Entry]:
        """Return the entries of a partition by offset; later changes apply to the mapping."""
        return self._view.entries.setdefault((kind, partition), {})

    async def begin(self, kind: Kind, partition: int, resume_after: int) -> Attempt:
        """Write that this worker continues after ``resume_after``; return the attempt."""
        await self._reader.caught_up()
        before = self._view.attempts.get((kind, partition))
        attempt = next_attempt(before, resume_after, secrets.token_hex(8))
        await self.write(kind, partition, attempt)
        return attempt

    async def write(self, kind: Kind, partition: int, attempt: Attempt) -> None:
        """Write the state of an attempt; return when it is acknowledged."""
        key = f"attempt/{kind}/{partition}".encode()
        await self._producer.send_and_wait(self._topic, _encode(attempt), key=key, partition=0)

    async def end(self, kind: Kind, partition: int, attempt: Attempt) -> None:
        """Write that an attempt ended cleanly, unless another one has followed.

        A write that exceeds ``write_timeout_s`` is abandoned.
        """
        latest = self._view.attempts.get((kind, partition))
        if latest is not None and latest.id != attempt.id:
            return
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(self.settings.write_timeout_s):
                ended = msgspec.structs.replace(attempt, ended=True, single_offset=-1)
                await self.write(kind, partition, ended)

    async def set_aside(self, entry: Entry, dead_letters: Sequence[DeadLetterRow]) -> None:
        """Quarantine a record.

        1. Write its dead letters. 2. Write the entry; from then on the record is not processed.

        Raises:
            QuarantineFullError: ``entries_max`` records are in quarantine.
            KafkaError: the broker did not accept a write. The next worker repeats both steps.
        """
        if len(self._view) >= self.settings.entries_max:
            metrics.LIMIT_REACHED.labels("entries_max").inc()
            raise QuarantineFullError(
                f"{len(self._view)} records are in quarantine, as many as "
                "TRACEMILL_QUARANTINE_ENTRIES_MAX allows: list them with `tracemill quarantine "
                "list`, then replay or skip them"
            )
        topic = self.kafka.topics.dead_letters
        for dead_letter in dead_letters:
            await self._producer.send_and_wait(topic, _encode(dead_letter), partition=0)
        await self._producer.send_and_wait(
            self._topic, _encode(entry), key=entry_key(entry), partition=0
        )
        self._view.put(entry)

    async def end_of(self, kind: Kind, partition: int) -> int:
        """Return the current end offset of a source partition."""
        return await self._reader.end_of(TopicPartition(topic_of(self.kafka, kind), partition))

    def _apply(self, record: ConsumerRecord) -> None:
        self._view.apply(record)
        for state, entries in self._view.states.items():
            metrics.ENTRIES.labels(state).set(entries)
