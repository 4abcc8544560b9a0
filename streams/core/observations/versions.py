"""Versions of trace rows, which depend on the source record only and not on the worker.

The row of a trace is an upsert: the highest version is kept. When a worker dies or is suspended,
its successor folds the same records again, and rows of the previous worker may arrive later, even
after those of the successor. Therefore a version states how much of the log its row contains, and
nothing else: a late row has the same version and content as the successor's row for the same
record.

The version of a record is the higher of two numbers: one derived from its receiving time, and the
version of the previous record plus the difference of their offsets. Each commit contains the last
version, and the next worker continues from it.

The version does not depend on the trace. A trace that is read back may be ahead of the commit,
because rows of traces are written before it. If its version were incremented instead, a restarted
worker would assign versions above those of its successor, and a late row could replace one that
contains more.

The result is exact even if rows arrive late, for the following reasons. (The deletion of a trace
row whose day changed is the one case that is not proven, see ``streams.runtime.suspension``.)

* Each worker writes in this order: deltas, trace rows, observation rows, commit. If a row of record
  ``n`` can be read, the deltas of all records up to ``n`` are in the log before it.
* Rows of the same version have the same content, unless the state was read back ahead of the
  commit. Such a row contains more than its version states, but the row that was read back has a
  higher version and is kept.
* The last row of a trace is written for the last record that changes it, by every worker that
  folds that record. No row has a higher version.
* Rows of observations need no such rule: folding a record again changes nothing, so their versions
  do not rise on a replay.

If no commit has a version (at the first start, or in a new log), an empty commit is written with
the highest version of any existing trace row, and read back before the first record is folded. If
two workers write one, the first in the log is valid for both.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION_SHIFT = 20
"""Number of bits by which a time in milliseconds is shifted left, which gives a version."""


class RecordVersion(NamedTuple):
    """The version of a source record."""

    offset: int
    version: int

    def of_next(self, offset: int, append_us: int) -> RecordVersion:
        """Return the version of a later record."""
        distance = offset - self.offset
        return RecordVersion(offset, max(self.version + distance, version_floor(append_us)))


def version_floor(append_us: int) -> int:
    """Return the lowest version of a record that the broker received at this time."""
    return append_us // 1_000 << VERSION_SHIFT
