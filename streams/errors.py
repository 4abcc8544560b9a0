"""Everything that can go wrong in this room.

StreamsError
├── StreamsStoppedError     the stream processor ended without being asked to; the supervisor starts it again
├── OutOfStepError          a record of the events topic is missing between two others
├── SuspendedError          the process was stopped for longer than its session: another worker has its partitions
├── ProgressUnknownError    a partition that failed cannot tell where it was: the group's offset can
└── QuarantineFullError     more records kill their worker than the quarantine takes

``streams.core.dead_letters.TooManyDeadLettersError`` comes from the core: most of the input is unreadable.
"""

from __future__ import annotations


class StreamsError(Exception):
    """Root of this room's errors."""


class StreamsStoppedError(StreamsError):
    """Faust gave up; the message says why."""


class OutOfStepError(StreamsError):
    """Records did not come one after the other. A restart reads them again from the last that took effect."""


class SuspendedError(StreamsError):
    """The process did not run for longer than its session; a restart goes on from what was written."""


class ProgressUnknownError(StreamsError):
    """A partition of stages 2 and 3 failed before its first marker: only a new assignment knows where to begin."""


class QuarantineFullError(StreamsError):
    """More records kill their worker than the quarantine takes: something else is wrong."""
