"""Exceptions of the stream processors.

StreamsError
├── StreamsStoppedError     Faust stopped unexpectedly; the supervisor restarts the process
├── RecordGapError          a record of the events topic is missing between two others
├── SuspendedError          the process was suspended too long and has lost its partitions
├── ProgressUnknownError    a partition of stage 2 failed before its first checkpoint
└── QuarantineFullError     more records crash their worker than the quarantine may contain

``streams.core.dead_letters.limit.TooManyDeadLettersError`` is raised when most input is unreadable.
"""

from __future__ import annotations


class StreamsError(Exception):
    """Base class of the exceptions of the stream processors."""


class StreamsStoppedError(StreamsError):
    """Faust stopped unexpectedly; the message contains the reason."""


class RecordGapError(StreamsError):
    """A source record is missing; a restart reads again from the last commit."""


class SuspendedError(StreamsError):
    """The process was suspended for longer than its session; it must restart."""


class ProgressUnknownError(StreamsError):
    """A partition of stage 2 failed before its first checkpoint, so the process restarts."""


class QuarantineFullError(StreamsError):
    """More records crash their worker than the quarantine may contain.

    The cause is then probably not the input.
    """
