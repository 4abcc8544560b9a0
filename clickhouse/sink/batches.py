"""What is buffered for each table, and when it is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.sink.settings import SinkSettings


@dataclass(slots=True)
class Batch:
    """Rows of one table, and the offsets that they discharge."""

    values: list[bytes] = field(default_factory=list)
    size_bytes: int = 0
    first_at_s: float = 0.0
    next_offsets: dict[TopicPartition, int] = field(default_factory=dict)
    oldest_timestamp_ms: int = 0

    def add(
        self, records: Iterable[ConsumerRecord], partition: TopicPartition, now_s: float
    ) -> int:
        """Append ``records`` (all of ``partition``, in order); the bytes they add."""
        added = 0
        for record in records:
            if not self.next_offsets:
                self.first_at_s = now_s
                self.oldest_timestamp_ms = record.timestamp
            self.next_offsets[partition] = record.offset + 1
            if record.value:
                self.values.append(record.value)
                added += len(record.value)
        self.size_bytes += added
        return added

    def without(self, revoked: set[TopicPartition]) -> bool:
        """Whether the batch may stay when ``revoked`` partitions left: mixed values can't be told apart."""
        return revoked.isdisjoint(self.next_offsets)

    def body(self) -> bytes:
        return b"\n".join(self.values)


class Pace:
    """How long a table may wait: short while traffic is light, longer once batches are large."""

    def __init__(self, settings: SinkSettings) -> None:
        self._settings = settings
        self._interval_s = settings.flush_interval_s

    def wrote(self, size_bytes: int) -> None:
        busy = size_bytes >= self._settings.busy_batch_bytes
        self._interval_s = (
            self._settings.flush_interval_max_s if busy else self._settings.flush_interval_s
        )

    def due_in_s(self, batch: Batch, now_s: float) -> float:
        """Seconds until ``batch`` is to be written; zero or less: now."""
        if batch.size_bytes >= self._settings.batch_bytes_max:
            return 0.0
        return batch.first_at_s + self._interval_s - now_s
