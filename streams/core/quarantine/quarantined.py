"""Identify the input that crashed a worker, from the records that workers wrote before they ended.

The quarantine log is one compacted partition with two kinds of records:

* ``attempt/<kind>/<partition>`` contains an ``Attempt``: the position at which a worker took over a
  partition of ``events`` or ``deltas``, and whether it ended cleanly. It is written once per
  assignment and once per clean end, not per record.
* ``entry/<kind>/<partition>/<offset>`` contains an ``Entry``: a record, or some of its lines, that
  is not processed. The payload is in the source topic and in the dead letters.

After an unclean end, the next worker first tries the input of the previous worker in child
processes (``streams.quarantine.trial``). If a child dies, its input is the cause, and the worker
itself survives. Kills from outside hit the worker and not its children, so they never cause a
quarantine.

A child does not reproduce every crash, for example one while writing. So after two unclean ends
without progress, the worker processes one record at a time and first writes its offset to the
quarantine log. A record is quarantined if ``worker_deaths`` workers in a row ended while processing
it. Random kills do not hit the same record each time, because the worker pauses for a random time
before it. A worker that ends later than ``single_wait_s`` after it began to process the record does
not count, because only an unresponsive broker or store takes that long.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["events", "deltas"]
State = Literal["quarantined", "skipped", "replayed"]

DEATHS_BEFORE_SINGLE: Final = 2
"""Unclean ends without progress after which records are processed one at a time."""
DETAIL_MAX_CHARS: Final = 4_000
REASON: Final = "crashed_worker"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assignment of a partition to a worker."""

    id: str
    resume_after: int
    """The last source offset that was committed when the attempt started."""
    ended: bool = False
    """Whether the attempt ended cleanly, or for a reason unrelated to its input."""
    deaths: int = 0
    """Consecutive unclean ends before this attempt, all at ``resume_after``."""
    single_offset: int = msgspec.field(default=-1, name="entering")
    """Offset of the record that is being processed alone; -1: none."""
    suspect_offset: int = msgspec.field(default=-1, name="blamed")
    """Offset of the record that was processed alone when the last worker ended; -1: none."""
    suspect_deaths: int = msgspec.field(default=0, name="blames")
    """Number of consecutive workers that ended at this record."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A quarantined record, or a record with quarantined lines."""

    kind: Kind
    partition: int
    offset: int
    timestamp_ms: int
    """Timestamp of the record; in a recreated topic, another record has the same offset."""
    state: State
    lines: tuple[int, ...] = ()
    """Numbers of the lines that are not processed; empty: all."""
    cause: str = ""
    """How the process ended, such as ``SIGSEGV``."""
    detail: str = ""
    """Traceback of the process, at most ``DETAIL_MAX_CHARS``."""
    by: str = "worker"
    """``worker`` or ``operator``."""
    payload_bytes: int = 0
    dead_letters: tuple[str, ...] = ()
    """Ids of the dead letters with the payload."""
    created_us: int = 0
    changed_us: int = 0

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.partition}/{self.offset}"

    @property
    def is_whole(self) -> bool:
        """Return whether no line of the record is processed."""
        return not self.lines


def next_attempt(before: Attempt | None, resume_after: int, attempt_id: str) -> Attempt:
    """Return the attempt that follows ``before``; the output ends at ``resume_after``."""
    if before is None:
        return Attempt(id=attempt_id, resume_after=resume_after)
    stuck = before.resume_after == resume_after
    suspect_offset, suspect_deaths = before.suspect_offset, before.suspect_deaths
    if before.ended:
        deaths = before.deaths if stuck else 0
    else:
        deaths = before.deaths + 1 if stuck else 1
        if before.single_offset > resume_after:
            suspect_deaths = suspect_deaths + 1 if before.single_offset == suspect_offset else 1
            suspect_offset = before.single_offset
    if suspect_offset <= resume_after:
        suspect_offset, suspect_deaths = -1, 0
    return Attempt(
        id=attempt_id,
        resume_after=resume_after,
        deaths=deaths,
        suspect_offset=suspect_offset,
        suspect_deaths=suspect_deaths,
    )


def is_suspicious(attempt: Attempt) -> bool:
    """Return whether input is tried in a child process first."""
    return attempt.deaths > 0


def is_single(attempt: Attempt) -> bool:
    """Return whether records are processed one at a time, because no trial found the cause."""
    return attempt.deaths >= DEATHS_BEFORE_SINGLE


def offset_to_set_aside(attempt: Attempt, worker_deaths: int) -> int | None:
    """Return the offset of a record at which too many workers ended; None if there is none."""
    return attempt.suspect_offset if attempt.suspect_deaths >= worker_deaths else None


def without_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """Return a record whose given lines are empty; all lines if none are given."""
    if not lines:
        return b""
    kept = value.split(b"\n")
    for number in lines:
        if number < len(kept):
            kept[number] = b""
    return b"\n".join(kept)


def only_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """Return the given lines of a record; all lines if none are given."""
    if not lines:
        return value
    every = value.split(b"\n")
    return b"\n".join(every[number] for number in lines if number < len(every))
