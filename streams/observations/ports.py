"""What stage 1 needs of the world, so that a simulated one can stand in for it."""

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
        """Returns once the record is on its way, with the future of its offset. Records of one partition keep their order."""


@dataclass(frozen=True, slots=True)
class Ends:
    """How far the rows of one partition reach: the offsets after the last record."""

    observations: int
    traces: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What a partition's own output says.

    Attributes:
        resume_after: the last source offset that took effect; −1: none that we know of.
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
    """Of the record at ``resume_after`` (``streams.core.observations.versions``); ``None`` where no commit
    tells."""


class History(Protocol):
    """What was written before."""

    async def next_record(self, partition: int, offset: int) -> int:
        """Return the offset of the first source record at or after ``offset``; there has to be one."""

    async def restore(self, partition: int) -> Restored:
        """Read the tail of the partition's output."""

    async def stored(self, partition: int, ends: Ends) -> None:
        """Return once the store has the partition's rows up to ``ends``."""

    async def seen(self, partition: int) -> array[int]:
        """Hashes (``streams.core.observations.seen.trace_hash``) of the traces of the partition that the store has, ascending; at most ``seen_traces_max``."""

    async def trace_version(self) -> int:
        """Return the highest version of a trace's row that the store has; 0 if it has none."""

    async def read_back(self, needs: Needs) -> list[TraceHistory]:
        """What the store has of these traces; texts of whole observations only where they are needed."""
