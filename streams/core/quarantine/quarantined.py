"""Decides which input killed its worker, from what workers wrote before they ended.

The quarantine log is one compacted partition with two kinds of records:

* ``attempt/<kind>/<partition>`` holds an ``Attempt``: where a worker took over a partition of
  ``events`` or ``deltas``, and whether it ended cleanly. One write per assignment, one per clean
  end; nothing per record.
* ``entry/<kind>/<partition>/<offset>`` holds an ``Entry``: a record, or lines of it, that is not
  processed. The source topic and the dead letters have the payload.

After an unclean end the next worker tries what the last one may have processed in a child process
first (``streams.screening``): the death of the child names the input and costs nothing. A kill from
outside ends the worker, not its child, so that no number of random kills sets a good record aside.

A death that no child process reproduces (in writing, or of memory that both share) falls back to
the log: after two deaths without progress records are processed alone, one at a time in the whole
process, and the log says which one is being entered. An end during the same record
``worker_deaths`` times sets it aside. A random kill would have to hit the few milliseconds of the
same record each time, after a random pause. Ends later than ``single_wait_s`` after a record was
entered are not held against it: only a broker or a store that hangs takes that long.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["events", "deltas"]
State = Literal["quarantined", "skipped", "replayed"]

DEATHS_BEFORE_SINGLE: Final = 2
"""Deaths without progress, after the first of which child processes died of nothing."""
DETAIL_MAX_CHARS: Final = 4_000
REASON: Final = "crashed_worker"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker's time with one partition."""

    id: str
    resume_after: int
    """The last source offset that had taken effect when it began."""
    ended: bool = False
    """It ended cleanly, or for a reason that has nothing to do with its input."""
    deaths: int = 0
    """Unclean ends before this attempt, one after the other, at ``resume_after``."""
    entering: int = -1
    """The record that is processed alone right now; -1: none."""
    blamed: int = -1
    """The record that was entered when a worker ended last; -1: none."""
    blames: int = 0
    """How often in a row that was this one."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that is not processed, or not all of it."""

    kind: Kind
    partition: int
    offset: int
    timestamp_ms: int
    """Of the record: an offset of another log, after topics were made anew, is another record."""
    state: State
    lines: tuple[int, ...] = ()
    """The lines of it that are not processed; empty: all."""
    cause: str = ""
    """How the process ended, such as ``SIGSEGV``."""
    detail: str = ""
    """What was seen of it; at most ``DETAIL_MAX_CHARS``."""
    by: str = "worker"
    """``worker`` or ``operator``."""
    payload_bytes: int = 0
    dead_letters: tuple[str, ...] = ()
    """Ids of the dead letters that hold the payload."""
    created_us: int = 0
    changed_us: int = 0

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.partition}/{self.offset}"

    @property
    def is_whole(self) -> bool:
        """Whether all of the record is not processed."""
        return not self.lines


def next_attempt(before: Attempt | None, resume_after: int, attempt_id: str) -> Attempt:
    """The attempt that follows ``before`` on a partition whose output ends with ``resume_after``."""
    if before is None:
        return Attempt(id=attempt_id, resume_after=resume_after)
    stuck = before.resume_after == resume_after
    blamed, blames = before.blamed, before.blames
    if before.ended:
        deaths = before.deaths if stuck else 0
    else:
        deaths = before.deaths + 1 if stuck else 1
        if before.entering > resume_after:
            blames = blames + 1 if before.entering == blamed else 1
            blamed = before.entering
    if blamed <= resume_after:
        blamed, blames = -1, 0
    return Attempt(
        id=attempt_id, resume_after=resume_after, deaths=deaths, blamed=blamed, blames=blames
    )


def is_suspicious(attempt: Attempt) -> bool:
    """Whether input is tried in a child process first."""
    return attempt.deaths > 0


def is_single(attempt: Attempt) -> bool:
    """Whether records are processed alone, because trials did not find what kills the worker."""
    return attempt.deaths >= DEATHS_BEFORE_SINGLE


def guilty_offset(attempt: Attempt, worker_deaths: int) -> int | None:
    """The record that is set aside now because of how earlier attempts ended; usually none."""
    return attempt.blamed if attempt.blames >= worker_deaths else None


def without_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """A record without the given lines, or without any; the others keep their numbers."""
    if not lines:
        return b""
    kept = value.split(b"\n")
    for number in lines:
        if number < len(kept):
            kept[number] = b""
    return b"\n".join(kept)


def only_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """The given lines of a record, or all of it."""
    if not lines:
        return value
    every = value.split(b"\n")
    return b"\n".join(every[number] for number in lines if number < len(every))
