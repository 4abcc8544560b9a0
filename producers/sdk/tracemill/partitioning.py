"""Choose the partition of an event: all events of a trace go to the same one."""

from __future__ import annotations

from zlib import crc32

from tracemill.contract import Event, Score


def partition_key(event: Event) -> str:
    """Return the id that selects the partition: the trace, or the session or run of a score."""
    if isinstance(event, Score):
        return event.trace_id or event.session_id or event.dataset_run_id or event.id
    return event.trace_id


def partition_of(project_id: str, key: str, partitions: int) -> int:
    """Return the partition of a key, by a CRC-32 that clients in every language can compute."""
    return crc32(f"{project_id}/{key}".encode()) % partitions
