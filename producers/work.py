"""Describes a stage's progress in one partition, for detecting stalls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """The state of one partition at the last measurement.

    Attributes:
        stage: who does the work: "streams", "sink".
        topic: whose records it processes.
        partition: its number.
        next_offset: the first record that has not taken effect.
        has_input: whether such a record is in the log.
        waits_for: the dependency that the stage waits for, in words; empty: for nothing.
        steps: grows with whatever else is progress.
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
        return f"partition {self.partition} of {self.topic}"


class WorkBoard:
    """Holds the function that returns a role's work, once the role has started."""

    def __init__(self) -> None:
        self.source: Callable[[], list[Work]] = list

    def work(self) -> list[Work]:
        return self.source()
