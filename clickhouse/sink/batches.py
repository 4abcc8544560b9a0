"""Buffer the rows of each table, and decide when a batch is due."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.feed import Feed
from clickhouse.sink import old_days
from clickhouse.sink.record_rows import RowsOf, value_rows
from clickhouse.sink.refusals import UNREADABLE, Refused, lines_of
from clickhouse.sink.settings import SinkSettings
from producers.traffic import Traffic


class Source(NamedTuple):
    """The record that contained a row."""

    partition: TopicPartition
    offset: int
    timestamp_ms: int


@dataclass(slots=True)
class Batch:
    """Rows of one table, and the offsets that can be committed when they are stored."""

    values: list[bytes] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    """Record of each value."""
    size_bytes: int = 0
    first_at_s: float = 0.0
    rows: int = 0
    first_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    oldest_timestamp_ms: int = 0
    unreadable: list[tuple[Refused, Source]] = field(default_factory=list)
    """Records that could not be converted to a row."""

    def add(
        self,
        records: Iterable[ConsumerRecord],
        partition: TopicPartition,
        now_s: float,
        rows_of: RowsOf = value_rows,
    ) -> int:
        """Append ``records`` (all of ``partition``, in order); return the bytes added."""
        added = added_rows = 0
        offset = -1
        for record in records:
            if offset < 0:
                if not self.next_offsets:
                    self.first_at_s = now_s
                    self.oldest_timestamp_ms = record.timestamp
                self.first_offsets.setdefault(partition, record.offset)
            offset = record.offset
            try:
                value, rows = rows_of(record)
            except Exception as error:  # noqa: BLE001  # the other records are still stored
                line = b"%b %b" % (record.key or b"", record.value or b"")
                refused = Refused(0, line, repr(error), UNREADABLE)
                self.unreadable.append((refused, Source(partition, offset, record.timestamp)))
                continue
            if rows:
                self.values.append(value)
                self.sources.append(Source(partition, offset, record.timestamp))
                added_rows += rows
                added += len(value)
        if offset >= 0:
            self.next_offsets[partition] = offset + 1
        self.rows += added_rows
        self.size_bytes += added
        return added

    def has_none_of(self, revoked: set[TopicPartition]) -> bool:
        """Return whether the batch contains no rows of the revoked partitions."""
        return revoked.isdisjoint(self.next_offsets)

    def release(self, revoked: Iterable[TopicPartition]) -> None:
        """Remove revoked partitions, so that their offsets are not committed."""
        for partition in revoked:
            self.next_offsets.pop(partition, None)

    def in_parts(self, key: Callable[[bytes], Hashable], keys_max: int) -> list[Batch]:
        """Split the rows into batches of at most ``keys_max`` keys, which commit no offsets."""
        by_key: dict[Hashable, list[tuple[bytes, Source]]] = {}
        for value, source in zip(self.values, self.sources, strict=True):
            for line in lines_of(value):
                by_key.setdefault(key(line), []).append((line, source))
        parts: list[Batch] = []
        for number, rows in enumerate(by_key.values()):
            if number % keys_max == 0:
                parts.append(Batch())
            part = parts[-1]
            for line, source in rows:
                part.values.append(line)
                part.sources.append(source)
                part.rows += 1
                part.size_bytes += len(line)
        return parts

    def with_sources(self, refused: Iterable[Refused]) -> Iterator[tuple[Refused, Source]]:
        """Yield each refused row of ``values``, in order, with the record that contained it."""
        records = zip(self.values, self.sources, strict=True)
        source, end = None, 0
        for row in refused:
            while source is None or row.number >= end:
                value, source = next(records)
                end += len(lines_of(value))
            yield row, source


class Pace:
    """The intervals of fetches and inserts, which grow with the traffic of all tables.

    The traffic of single tables is not used, so that small tables do not burden a busy store.
    """

    def __init__(self, settings: SinkSettings, feeds: Iterable[Feed]) -> None:
        self._settings = settings
        self._light_s: dict[str, float] = {
            feed.table: getattr(settings, feed.flush.value) for feed in feeds
        }
        self._traffic = Traffic(settings.light_traffic_bytes_per_s)

    def fetched(self, size_bytes: int, now_s: float) -> None:
        """Count fetched bytes."""
        self._traffic.add(size_bytes, now_s)

    def due_in_s(self, table: str, batch: Batch, now_s: float) -> float:
        """Return the seconds until ``batch`` is due; zero or less if it is due now."""
        if batch.size_bytes >= self._settings.batch_bytes_max:
            return 0.0
        return batch.first_at_s + self.interval_s(table) - now_s

    def interval_s(self, table: str) -> float:
        """Return the maximum age of buffered rows of ``table``."""
        settings = self._settings
        if table.endswith(old_days.SUFFIX):
            return settings.old_rows_flush_interval_s
        return self._traffic.stretched(self._light_s[table], settings.flush_interval_max_s)

    @property
    def fetch_interval_s(self) -> float:
        """Return the minimum time between fetches."""
        settings = self._settings
        return self._traffic.stretched(settings.fetch_interval_s, settings.fetch_interval_max_s)
