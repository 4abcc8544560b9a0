"""Define the interfaces of stage 1 to Kafka and the store; the simulator implements them, too."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from clickhouse.rows import ObservationRow, TraceRow
from clickhouse.trace_deletion_rows import TraceDeletionRow
from streams.core.observations.deferral import DeferredRecord
from streams.core.observations.fold import Needs
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.trace_log import LoggedTraces

Headers = Sequence[tuple[str, bytes]]


class Output(Protocol):
    """An interface to append records to topics."""

    async def send(
        self, topic: str, partition: int, value: bytes, headers: Headers = ()
    ) -> asyncio.Future[int]:
        """Add a record to the producer's buffer; return a future of its offset.

        Records of one partition keep their order.
        """


@dataclass(frozen=True, slots=True)
class Ends:
    """Offsets after the last record of one partition, in both output topics."""

    observations: int
    traces: int


@dataclass(frozen=True, slots=True)
class Restored:
    """The tail of a partition's output.

    Attributes:
        resume_after: the last committed source offset; −1 if there is none.
        traces: rows of traces, in order, including those ahead of the commit.
        observations: rows of observations, in order, up to the last commit.
        begin: offsets at which the tail begins.
        ends: offsets at which the output ends.
    """

    resume_after: int
    traces: list[TraceRow]
    observations: list[ObservationRow]
    begin: Ends
    ends: Ends
    trace_version: int | None = None
    """Version of the record at ``resume_after`` (``streams.core.observations.versions``); None if
    no commit has one."""


class History(Protocol):
    """An interface to read stored rows and earlier output."""

    async def next_record(self, partition: int, offset: int) -> int:
        """Return the offset of the first source record at or after ``offset``. One must exist."""

    async def restore(self, partition: int) -> Restored:
        """Read the tail of the partition's output."""

    async def stored(self, partition: int, ends: Ends) -> None:
        """Wait until the store has the partition's rows up to ``ends``."""

    async def seen(self, partition: int) -> array[int]:
        """Return the ``trace_hash`` of stored traces of the partition, ascending.

        Returns at most ``seen_traces_max`` of them.
        """

    async def is_store_up(self) -> bool:
        """Return whether the store answers now."""

    async def source_end(self, partition: int) -> int:
        """Return the offset after the last source record."""

    def deferred(self, partition: int, begin: int) -> AsyncIterator[DeferredRecord]:
        """Yield the records of ``deferred`` from an offset up to the current end."""

    async def logged_traces(self, partition: int) -> LoggedTraces | None:
        """Return the traces in the log of traces; None if it is not complete."""

    async def traces_between(self, partition: int, begin: int, end: int) -> array[int] | None:
        """Return the hashes of the traces with rows between two offsets of ``traces``.

        Returns None if some of these rows cannot be read.
        """

    async def delete_logged(self, partition: int, before: int) -> None:
        """Delete the records of the log of traces before an offset."""

    async def trace_deletions(self, partition: int) -> list[TraceDeletionRow]:
        """Return the deletions of traces of the partition, in order; some may repeat."""

    async def trace_version(self) -> int:
        """Return the highest version of a row of a trace, or of its deletion, in the store.

        Returns 0 if it has none.
        """

    async def read_back(self, needs: Needs) -> list[TraceHistory]:
        """Return the stored rows of traces.

        Texts are included for the observations in ``needs.texts``, and for those with partial
        updates.
        """
