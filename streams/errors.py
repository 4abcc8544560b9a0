"""Exceptions of the stream processors.

StreamsError
├── StreamsStoppedError     the stream processor ended by itself; the supervisor restarts it
├── RecordGapError          a record of the events topic is missing between two others
├── SuspendedError          the process was suspended too long and has lost its partitions
├── ProgressUnknownError    a partition failed before its position was known; it restarts from the
│                           group's offset
└── QuarantineFullError     more records kill their worker than the quarantine may hold

``streams.core.dead_letters.limit.TooManyDeadLettersError`` is raised when most input is unreadable.
"""

from __future__ import annotations


class StreamsError(Exception):
    """Root of the exceptions of the stream processors."""


class StreamsStoppedError(StreamsError):
    """Faust stopped by itself; the message has the reason."""


class RecordGapError(StreamsError):
    """A source record is missing. A restart reads again from the last record that took effect."""


class SuspendedError(StreamsError):
    """The process was suspended longer than its session; a restart continues from its output."""


class ProgressUnknownError(StreamsError):
    """A partition of stages 2 and 3 failed before its first checkpoint; it is assigned again."""


class QuarantineFullError(StreamsError):
    """More records kill their worker than the quarantine may hold; input is no likely cause."""
