"""Describe the progress of stages in partitions, for detecting stalls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """The progress of a stage in one partition at the last measurement.

    Attributes:
        stage: "streams" or "sink".
        topic: topic of the records that it processes.
        partition: number of the partition.
        next_offset: offset of the first record that is not processed.
        has_input: whether the log holds such a record.
        waits_for: name of the dependency that the stage waits for; empty: none.
        steps: counter of other progress, such as attempts.
    """

    stage: str
    topic: str
    partition: int
    next_offset: int
    has_input: bool
    waits_for: str = ""
    steps: int = 0

    @property
    def place(self) -> str:
        """Return the name of the partition for messages."""
        return f"partition {self.partition} of {self.topic}"


class ProgressBoard:
    """Hold a function that returns a role's progress, set once the role has started."""

    def __init__(self) -> None:
        self.source: Callable[[], list[PartitionProgress]] = list

    def work(self) -> list[PartitionProgress]:
        """Return the progress in each partition; empty before the role has started."""
        return self.source()
