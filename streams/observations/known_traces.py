"""Find out which traces exist when a partition of stage 1 is restored."""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import dataclass

import structlog

from streams.core.observations.seen import SeenTraces, trace_hash
from streams.core.observations.trace_log import LoggedTraces
from streams.observations import metrics
from streams.observations.ports import History, Restored
from streams.observations.settings import StreamsSettings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KnownTraces:
    """The traces that exist, and what the log of traces lacks.

    Attributes:
        seen: the traces that exist, except those in the tail of the output.
        begin: offset at which the log of traces begins; None if it must be written completely.
        unlogged: hashes that the log lacks; if ``begin`` is None, those that ``seen`` lacks.
    """

    seen: SeenTraces
    begin: int | None
    unlogged: array[int]


async def known_traces(
    history: History, settings: StreamsSettings, partition: int, restored: Restored
) -> KnownTraces:
    """Return the traces that exist.

    1. Read the log of traces, and the rows between its end and the tail. 2. If the log is not
    complete, wait until the store has all rows before the tail, and query the store instead.
    """
    tail = array("Q", {trace_hash(key) for key in _tail_keys(restored)})
    logged = await history.logged_traces(partition)
    later = None if logged is None else await _rows_after(history, partition, restored, logged)
    if logged is None or later is None:
        log.info("traces_read_from_store", partition=partition)
        await history.stored(partition, restored.begin)
        hashes = await history.seen(partition)
        return KnownTraces(SeenTraces(hashes, settings.seen_traces_max), None, tail)
    seen = SeenTraces(traces_max=settings.seen_traces_max)
    await asyncio.to_thread(seen.add_hashes, logged.hashes)
    unlogged = array("Q", (each for each in (*later, *tail) if not seen.has_hash(each)))
    seen.add_hashes(later)
    if logged.records > settings.trace_log_records_max:
        metrics.LIMIT_REACHED.labels("trace_log_records_max").inc()
        return KnownTraces(seen, None, tail)
    return KnownTraces(seen, logged.begin, unlogged)


async def _rows_after(
    history: History, partition: int, restored: Restored, logged: LoggedTraces
) -> array[int] | None:
    """Return the traces between the end of the log and the tail; None if they are unknown."""
    begin, end = logged.traces_to, restored.begin.traces
    if begin > restored.ends.traces:
        return None  # this log belongs to another topic of rows
    if begin >= end:
        return array("Q")
    return await history.traces_between(partition, begin, end)


def _tail_keys(restored: Restored) -> set[tuple[str, str]]:
    return {
        *((row.project_id, row.id) for row in restored.traces),
        *((row.project_id, row.trace_id) for row in restored.observations),
    }
