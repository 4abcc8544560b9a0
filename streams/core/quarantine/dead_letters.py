"""Build dead letters of quarantined input, one per line, so that none contains several tenants."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from clickhouse.rows import DeadLetterRow
from streams.core.dead_letters.ids import InputIds
from streams.core.dead_letters.texts import bounded_payload
from streams.core.quarantine.quarantined import REASON


def dead_letters_of(
    lines: Iterable[bytes],
    owner_of: Callable[[bytes], str],
    *,
    stage: str,
    topic: str,
    partition: int,
    offset: int,
    created_us: int,
    detail: str,
    payload_bytes_max: int,
    reason: str = REASON,
) -> list[DeadLetterRow]:
    """Build a dead letter for each line; the same lines of a record give the same ids."""
    rows = []
    ids = InputIds(topic, created_us)
    for line in lines:
        payload, note = bounded_payload(line, payload_bytes_max)
        rows.append(
            DeadLetterRow(
                project_id=owner_of(line),
                id=ids.id_of(reason, line),
                created_us=created_us,
                stage=stage,
                reason=reason,
                detail=detail + note,
                source_topic=topic,
                source_partition=partition,
                source_offset=offset,
                payload=payload,
            )
        )
    return rows
