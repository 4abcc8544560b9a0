"""The limit of refused input: past it something is wrong with the topic, and draining it into the bin would lose it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PROJECTS_REMEMBERED_MAX: Final = 1_000
"""Projects of recent lines that are kept."""


class TooManyDeadLettersError(Exception):
    """The stage refuses to go on; the message says what it saw."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    consecutive_max: int
    """Unreadable lines in a row."""
    ratio_max: float
    """Unreadable lines per line, over the last ``sample_lines`` lines."""
    sample_lines: int


class DeadLetterGuard:
    """Stops one partition when most of its input is refused.

    Lines that are no events always count: something else writes to the topic. Events that made the
    stage fail count only while no other project sends good ones, so that the events of one project
    cannot stop the others.
    """

    def __init__(self, limit: DeadLetterLimit, source: str) -> None:
        self._limit = limit
        self._source = source
        self._consecutive = self._lines = self._unreadable = 0
        self._good_projects: set[str] = set()
        self._good_projects_before: set[str] = set()
        """Those of the sample before."""
        self._failing_projects: set[str] = set()

    def copy(self) -> DeadLetterGuard:
        """Return a copy, to restore when the observed chunk is folded again."""
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
        """Take note of a record.

        Args:
            readable: lines that counted.
            unreadable: lines that are no events.
            offset: of the record.
            good_project: the project of one of the readable lines.
            failing: for each event that made the stage fail, its project.

        Raises:
            TooManyDeadLettersError: the limit is passed.
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
            message = f"{self._consecutive} unreadable lines in a row in {seen}: who writes to this topic?"
            raise TooManyDeadLettersError(message)
        if self._lines >= limit.sample_lines and self._unreadable > limit.ratio_max * self._lines:
            message = f"{self._unreadable} of the last {self._lines} lines in {seen} are unreadable: who writes to this topic?"
            raise TooManyDeadLettersError(message)

    def _counted(self, failing: Sequence[str]) -> int:
        """Return how many of the failing events count toward the limit."""
        self._failing_projects.update(failing[:PROJECTS_REMEMBERED_MAX])
        good = self._good_projects | self._good_projects_before
        return 0 if good - self._failing_projects else len(failing)
