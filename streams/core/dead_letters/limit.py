"""Stop a partition when most of its input is unreadable, before all of it becomes dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

PROJECTS_REMEMBERED_MAX: Final = 1_000
"""Maximum projects kept in memory per sample of lines."""


class TooManyDeadLettersError(Exception):
    """Too much of a partition's input is unreadable; the message contains the numbers."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """The limits of unreadable input, above which a partition stops."""

    consecutive_max: int
    """Maximum consecutive unreadable lines."""
    ratio_max: float
    """Maximum share of unreadable lines among the last ``sample_lines`` lines."""
    sample_lines: int


class DeadLetterGuard:
    """A guard that stops one partition when most of its input is rejected.

    Lines that are no events always count, because another program must have written them. Events
    whose processing raises count only while no other project's events are processed, so that one
    project cannot stop the others.
    """

    def __init__(self, limit: DeadLetterLimit, source: str) -> None:
        self._limit = limit
        self._source = source
        self._consecutive = self._lines = self._unreadable = 0
        self._good_projects: set[str] = set()
        self._good_projects_before: set[str] = set()
        """Projects with processed events in the previous sample."""
        self._failing_projects: set[str] = set()

    def copy(self) -> DeadLetterGuard:
        """Return a copy, which replaces this guard if the chunk is folded again."""
        other = DeadLetterGuard(self._limit, self._source)
        other._consecutive, other._lines = self._consecutive, self._lines
        other._unreadable = self._unreadable
        other._good_projects = set(self._good_projects)
        other._good_projects_before = set(self._good_projects_before)
        other._failing_projects = set(self._failing_projects)
        return other

    def observe(
        self,
        readable: int,
        unreadable: int,
        offset: int,
        *,
        good_project: str = "",
        failing: Sequence[str] = (),
    ) -> None:
        """Count the lines of a record.

        Args:
            readable: lines that were processed.
            unreadable: lines that are no events.
            offset: offset of the record.
            good_project: the project of one of the processed lines.
            failing: the project of each event whose processing raised.

        Raises:
            TooManyDeadLettersError: the limit is exceeded.
        """
        limit = self._limit
        if good_project and len(self._good_projects) < PROJECTS_REMEMBERED_MAX:
            self._good_projects.add(good_project)
        if failing:
            unreadable += self._counted(failing)
        self._consecutive = 0 if readable else self._consecutive + unreadable
        if self._lines >= limit.sample_lines:
            self._lines, self._unreadable = self._lines // 2, self._unreadable // 2
            self._good_projects_before, self._good_projects = self._good_projects, set()
            self._failing_projects.clear()
        self._lines += readable + unreadable
        self._unreadable += unreadable
        seen = f"{self._source} up to offset {offset}"
        if self._consecutive > limit.consecutive_max:
            message = (
                f"{self._consecutive} consecutive lines in {seen} are unreadable: "
                "check what writes to this topic"
            )
            raise TooManyDeadLettersError(message)
        if self._lines >= limit.sample_lines and self._unreadable > limit.ratio_max * self._lines:
            message = (
                f"{self._unreadable} of the last {self._lines} lines in {seen} are unreadable: "
                "check what writes to this topic"
            )
            raise TooManyDeadLettersError(message)

    def _counted(self, failing: Sequence[str]) -> int:
        """Return how many of the failing events count toward the limit."""
        free = PROJECTS_REMEMBERED_MAX - len(self._failing_projects)
        unknown = dict.fromkeys(each for each in failing if each not in self._failing_projects)
        self._failing_projects.update(islice(unknown, free))
        good = self._good_projects | self._good_projects_before
        return 0 if good - self._failing_projects else len(failing)
