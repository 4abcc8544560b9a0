"""The limit of refused input: past it something is wrong with the topic, and draining it into the bin would lose it."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Watches one partition."""

    def __init__(self, limit: DeadLetterLimit, source: str) -> None:
        self._limit = limit
        self._source = source
        self._consecutive = self._lines = self._unreadable = 0

    def observe(self, readable: int, unreadable: int, offset: int) -> None:
        """Take note of a record.

        Raises:
            TooManyDeadLettersError: the limit is passed.
        """
        limit = self._limit
        self._consecutive = 0 if readable else self._consecutive + unreadable
        if self._lines >= limit.sample_lines:
            self._lines, self._unreadable = self._lines // 2, self._unreadable // 2
        self._lines += readable + unreadable
        self._unreadable += unreadable
        seen = f"{self._source} up to offset {offset}"
        if self._consecutive > limit.consecutive_max:
            message = f"{self._consecutive} unreadable lines in a row in {seen}: who writes to this topic?"
            raise TooManyDeadLettersError(message)
        if self._lines >= limit.sample_lines and self._unreadable > limit.ratio_max * self._lines:
            message = f"{self._unreadable} of the last {self._lines} lines in {seen} are unreadable: who writes to this topic?"
            raise TooManyDeadLettersError(message)
