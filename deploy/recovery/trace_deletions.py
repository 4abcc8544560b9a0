"""Write the deletions of traces to the new log, so that their late events are still dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from producers.kafka.topics import Topics

ROWS_AT_ONCE: Final = 1_000
"""Rows of one record."""

_SQL: Final = """
SELECT project_id, trace_id, toUnixTimestamp64Micro(deleted_time) AS deleted_us, api_key,
    row_version
FROM trace_deletions FINAL ORDER BY row_version
"""


async def restore_trace_deletions(producer: AIOKafkaProducer, topics: Topics, store: Store) -> int:
    """Write all deletions in the store to their topic, oldest first; return their number.

    Raises:
        KafkaError: the broker refused a record; call this again.
        StoreError: the store could not be read.
    """
    lines = (await store.query_bytes(_SQL)).splitlines()
    for value in _records(lines):
        await producer.send_and_wait(topics.trace_deletions, value, partition=0)
    return len(lines)


def _records(lines: list[bytes]) -> Iterator[bytes]:
    for first in range(0, len(lines), ROWS_AT_ONCE):
        yield b"\n".join(lines[first : first + ROWS_AT_ONCE])
