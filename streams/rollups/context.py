"""Define the context that the partitions of the rollups stage share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from producers.settings import KafkaSettings
from streams.rollups.reader import ProjectReader
from streams.rollups.settings import ProjectSettings
from streams.runtime.sink_progress import SinkProgress


@dataclass(frozen=True, slots=True)
class StageContext:
    """The dependencies that all partitions of a worker share."""

    kafka: KafkaSettings
    settings: ProjectSettings
    reader: ProjectReader
    sink: SinkProgress
    earliest: Callable[[int], Awaitable[int]]
    """Return the first available offset of a partition of ``deltas``."""
    next_record: Callable[[int, int], Awaitable[int]]
    """Return the offset of the first record at or after an offset, in a partition of ``deltas``.
    It may be after the given offset, because transaction markers have offsets, too."""
    seek: Callable[[int, int], Awaitable[None]]
    """Continue reading a partition of ``deltas`` at an offset."""
