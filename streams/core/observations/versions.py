"""Versions of trace rows: one for each source record, whatever worker folds it.

A trace's row is an upsert: the highest version stays. Rows of several workers meet where a worker
died or was stopped: its successor folds the same records again, and what it had sent may arrive at
any time, also behind the rows of the successor. So a version must say how much of the log its row
contains, and nothing else: then a late row has the version, and the content, of the row that the
successor wrote for the same record, or of one that it is still to write.

The version of a record is its receiving time, or the version of the record before it and their
distance, if that is higher. This is a function of the log: each commit says the version it ends
with, and the next worker goes on from there.

In particular it does not depend on the trace. A trace that is read back may be ahead of the commit
(rows of traces are written before it), and how far ahead depends on how its writer ended. One more
than the version read back would give the rows of such a worker higher versions than those of its
successor, and a late one would replace what contains more.

Why what comes out is exact, also when rows arrive late (the deletion of a trace row whose day
changed is the one case that is not proven, see ``streams.runtime.suspension``):

* Each worker writes in order: deltas, rows of traces, rows of observations, commit. Whatever row of
  record ``n`` can be read, the deltas of all records up to ``n`` are in the log before it.
* The same version means the same content, but for a row that was folded from a state read back
  ahead of the commit, which contains more: it is the version of a record before those it contains.
  The row that was read back has a higher one, so a row that contains too much never stays.
* The last row of a trace is written for the last record that changes it, by every worker that folds
  that record. No row has a higher version.
* Rows of observations need no such rule: a record that is already contained in one changes nothing,
  so its version never rises with a replay.

Where no commit tells a version (the first start, a new log) a commit of nothing begins with one
above all rows there are. It is read back before the first record is folded: of two that were
written, the first counts, also for the worker that wrote the second.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION_SHIFT = 20
"""A receiving time in milliseconds, shifted by this, is the least version of what it brings."""


class RecordVersion(NamedTuple):
    """The version of a source record."""

    offset: int
    version: int

    def of_next(self, offset: int, append_us: int) -> RecordVersion:
        """Return the version of a later record."""
        distance = offset - self.offset
        return RecordVersion(offset, max(self.version + distance, version_floor(append_us)))


def version_floor(append_us: int) -> int:
    """Return the least version of a record that was received at this time."""
    return append_us // 1_000 << VERSION_SHIFT
