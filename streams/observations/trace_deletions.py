"""Read the deletions of traces that a partition of stage 1 has written."""

from __future__ import annotations

from typing import Final

import msgspec
import structlog
from aiokafka import TopicPartition

from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.settings import KafkaSettings
from streams.observations import metrics
from streams.runtime.log_reading import records_from
from tracemill.partitioning import partition_of

log = structlog.get_logger(__name__)

_rows: Final = msgspec.json.Decoder(TraceDeletionRow)


async def read_trace_deletions(kafka: KafkaSettings, partition: int) -> list[TraceDeletionRow]:
    """Return the deletions of the traces of a partition of ``events``, in order.

    Raises:
        BrokerUnavailableError, KafkaError: the broker does not answer.
    """
    topic = kafka.topics.trace_deletions
    found: list[TraceDeletionRow] = []
    async for record in records_from(kafka, TopicPartition(topic, 0)):
        for line in (record.value or b"").split(b"\n"):
            try:
                row = _rows.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                if line:
                    metrics.UNREADABLE_ROWS.inc()
                    log.warning("row_unreadable", topic=topic, reason=str(error))
                continue
            if partition_of(row.project_id, row.trace_id, kafka.event_partitions) == partition:
                found.append(row)
    return found
