"""Which partition an event belongs to: all events of a trace meet in one."""

from __future__ import annotations

from zlib import crc32

from tracemill.contract import Event, Score


def partition_key(event: Event) -> str:
    """The id that decides the partition: the trace, else the session or run that a score judges."""
    if isinstance(event, Score):
        return event.trace_id or event.session_id or event.dataset_run_id or event.id
    return event.trace_id


def partition_of(project_id: str, key: str, partitions: int) -> int:
    """A stable partition number for ``key`` of ``project_id`` (CRC-32, so every language has it)."""
    return crc32(f"{project_id}/{key}".encode()) % partitions
