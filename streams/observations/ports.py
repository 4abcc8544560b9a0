"""What stage 1 needs of Kafka and the store, as protocols that a simulation implements too."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from clickhouse.rows import ObservationRow, TraceRow
from streams.core.observations.fold import Needs
from streams.core.observations.trace_cache import TraceHistory

Headers = Sequence[tuple[str, bytes]]


class Output(Protocol):
    """Appends records to topics."""

    async def send(
        self, topic: str, partition: int, value: bytes, headers: Headers = ()
    ) -> asyncio.Future[int]:
        """Send a record; return the future of its offset once it is in the producer's buffer.

        Records of one partition keep their order.
        """


@dataclass(frozen=True, slots=True)
class Ends:
    """How far the rows of one partition reach: the offsets after the last record."""

    observations: int
    traces: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a partition has written so far, as far as it is read again.

    Attributes:
        resume_after: the last source offset that took effect; −1 if none is known.
        traces: rows of the traces, in order, also those ahead of the commit.
        observations: rows of the observations, in order, up to the last commit.
        begin: where the rows that were read begin.
        ends: where the output ended.
    """

    resume_after: int
    traces: list[TraceRow]
    observations: list[ObservationRow]
    begin: Ends
    ends: Ends
    trace_version: int | None = None
    """Of the record at ``resume_after`` (``streams.core.observations.versions``); None if no commit
    has one."""


class History(Protocol):
    """Reads what was written before."""

    async def next_record(self, partition: int, offset: int) -> int:
        """Return the offset of the first source record at or after ``offset``.

        There has to be one.
        """

    async def restore(self, partition: int) -> Restored:
        """Read the tail of the partition's output."""

    async def stored(self, partition: int, ends: Ends) -> None:
        """Return once the store has the partition's rows up to ``ends``."""

    async def seen(self, partition: int) -> array[int]:
        """Return the ``trace_hash`` of traces of the partition that the store has, ascending.

        At most ``seen_traces_max`` of them.
        """

    async def trace_version(self) -> int:
        """Return the highest version of a trace's row that the store has; 0 if it has none."""

    async def read_back(self, needs: Needs) -> list[TraceHistory]:
        """Return what the store has of these traces.

        Texts of whole observations are included only where they are needed.
        """
