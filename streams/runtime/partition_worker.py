"""Define the interface that a stage implements to process a partition of its topic.

``partition_host`` runs the implementations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from streams.runtime.lag import Lag, Position


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One record of a source topic.

    Attributes:
        append_us: time when the broker appended the record, in µs since the epoch.
        ack: marks the record as processed, so that its offset can be committed.
    """

    offset: int
    append_us: int
    value: bytes
    ack: Callable[[], object]


class PartitionWorker(Protocol):
    """The interface of a worker, which processes one partition while it is assigned.

    Records may be delivered again, and the first one may be before or after the checkpoint. So a
    worker finds its position in its own output, and acknowledges a record when the results are
    written.
    """

    @property
    def is_restored(self) -> bool:
        """Return whether the state is restored, so that records are processed."""

    @property
    def is_full(self) -> bool:
        """Return whether ``put`` would wait."""

    async def run(self) -> None:
        """Restore the last checkpoint, then process records until ``finish`` is called.

        Raises:
            Exception: processing failed; unacknowledged records are read again.
        """

    async def put(self, message: SourceMessage) -> None:
        """Add the next record; wait while too many records are pending."""

    async def finish(self) -> None:
        """Stop processing; return when pending results are written and acknowledged.

        Afterwards ``run`` is cancelled, unless it has returned.
        """

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""

    def position(self) -> Position:
        """Return the progress of this worker; other threads may call this."""
