"""Everything that can go wrong in this room.

StreamsError
├── StreamsStoppedError     the stream processor ended without being asked to; the supervisor starts it again
├── OutOfStepError          a record of the events topic is missing between two others
├── SuspendedError          the process was stopped for longer than its session: another worker has
its partitions ├── ProgressUnknownError    a failed partition's position is unknown; the group's
offset gives it └── QuarantineFullError     more records kill their worker than the quarantine takes

``streams.core.dead_letters.limit.TooManyDeadLettersError`` comes from the core: most of the input is unreadable.
"""

from __future__ import annotations


class StreamsError(Exception):
    """Root of this room's errors."""


class StreamsStoppedError(StreamsError):
    """Faust gave up; the message says why."""


class OutOfStepError(StreamsError):
    """Records did not come one after the other. A restart reads them again from the last that took effect."""


class SuspendedError(StreamsError):
    """The process was suspended for longer than its session; a restart continues from its output."""


class ProgressUnknownError(StreamsError):
    """A partition of stages 2 and 3 failed before its first marker; a new assignment is needed."""


class QuarantineFullError(StreamsError):
    """More records kill their worker than the quarantine may hold; the cause is another one."""
