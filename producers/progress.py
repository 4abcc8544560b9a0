"""Define the progress of stages in partitions, by which stalls are detected."""

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
        next_offset: offset of the first record that has not been processed.
        has_input: whether the log has a record at that offset.
        waits_for: name of the dependency that the stage waits for; empty if it waits for none.
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
    """Provide the progress of a role, by a function that is set when the role has started."""

    def __init__(self) -> None:
        self.source: Callable[[], list[PartitionProgress]] = list

    def work(self) -> list[PartitionProgress]:
        """Return the progress in each partition; an empty list before the role has started."""
        return self.source()
