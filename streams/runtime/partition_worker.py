"""What a stage implements to process the partitions of a topic; ``partition_host`` runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streams.runtime.lag import Lag, Position


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One record of a source topic.

    Attributes:
        append_us: the broker's time of the record.
        ack: lets the record's offset be committed.
    """

    offset: int
    append_us: int
    value: bytes
    ack: Callable[[], object]


class PartitionWorker(Protocol):
    """Processes one partition, from its assignment until it is revoked.

    Records may come again, and the first of them may be before or after the checkpoint: a worker
    takes its position from what it wrote, and acknowledges a record when its effects are written.
    """

    @property
    def is_restored(self) -> bool:
        """Return whether records are processed already."""

    async def run(self) -> None:
        """Restore the last checkpoint, then process records until ``finish`` or cancelled.

        Raises:
            Exception: the work failed; records that were not acknowledged are read again.
        """

    async def put(self, message: SourceMessage) -> None:
        """Add the next record; wait while as many are pending as the settings allow."""

    async def finish(self) -> None:
        """Process nothing more; return once what was processed is written and acknowledged.

        Afterwards ``run`` is cancelled, unless it has returned.
        """

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""

    def position(self) -> Position:
        """Return the progress of the work; may be called from another thread."""
