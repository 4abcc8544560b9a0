"""Builds dead letters of quarantined input, one per line, so that none contains several tenants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from clickhouse.rows import DeadLetterRow
from streams.core.dead_letters.texts import bounded_payload
from streams.core.quarantine.quarantined import REASON


def dead_letters_of(
    lines: Iterable[tuple[int, bytes]],
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
    """Build a dead letter for each numbered line.

    Its id is derived from the line's position, so repeated rows replace each other.
    """
    rows = []
    for number, line in lines:
        payload, note = bounded_payload(line, payload_bytes_max)
        # Includes the time because a new log counts its offsets from 0 again.
        place = f"{topic}/{partition}/{offset}/{created_us}/{reason}/{number}"
        rows.append(
            DeadLetterRow(
                project_id=owner_of(line),
                id=sha256(place.encode()).hexdigest()[:32],
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
