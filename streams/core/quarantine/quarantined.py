"""Decides which input killed its worker, from the records that workers wrote before they ended.

The quarantine log is one compacted partition with two kinds of records:

* ``attempt/<kind>/<partition>`` holds an ``Attempt``: where a worker took over a partition of
  ``events`` or ``deltas``, and whether it ended cleanly. It is written once per assignment and once
  per clean end, not per record.
* ``entry/<kind>/<partition>/<offset>`` holds an ``Entry``: a record, or lines of it, that is not
  processed. The source topic and the dead letters have the payload.

After an unclean end, the next worker first tries in child processes (``streams.quarantine.trial``)
what the previous worker may have processed: the death of a child identifies the input without
ending the worker. Kills from outside hit the worker and not its child, so they never set a good
record aside, however many there are.

Some deaths are not reproduced by a child, such as those while writing or for lack of memory. For
them, after two deaths without progress, the process handles one record at a time and writes its
offset to the log first. A record during which ``worker_deaths`` workers ended in a row is set
aside. Random kills would have to hit the same few milliseconds each time, after a random pause.
Ends later than ``single_wait_s`` after a record was started do not count, because only a hanging
broker or store takes that long.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Kind = Literal["events", "deltas"]
State = Literal["quarantined", "skipped", "replayed"]

DEATHS_BEFORE_SINGLE: Final = 2
"""Deaths without progress before records are processed one at a time."""
DETAIL_MAX_CHARS: Final = 4_000
REASON: Final = "crashed_worker"


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assignment of a partition to a worker."""

    id: str
    resume_after: int
    """The last source offset that had taken effect at its start."""
    ended: bool = False
    """Whether it ended cleanly, or for a reason unrelated to its input."""
    deaths: int = 0
    """Unclean ends in a row before this attempt, all at ``resume_after``."""
    single_offset: int = msgspec.field(default=-1, name="entering")
    """Offset of the record that is being processed alone; -1: none."""
    suspect_offset: int = msgspec.field(default=-1, name="blamed")
    """Offset of the record that was being processed alone when a worker last ended; -1: none."""
    suspect_deaths: int = msgspec.field(default=0, name="blames")
    """How many times in a row that was this record."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record that is not processed, entirely or in part."""

    kind: Kind
    partition: int
    offset: int
    timestamp_ms: int
    """Timestamp of the record: after topics are recreated, the same offset is another record."""
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
    """Ids of the dead letters that hold the payload."""
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
    """Return the attempt after ``before`` on a partition with output up to ``resume_after``."""
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
    """Return whether records are processed one at a time, because trials did not find the cause."""
    return attempt.deaths >= DEATHS_BEFORE_SINGLE


def offset_to_set_aside(attempt: Attempt, worker_deaths: int) -> int | None:
    """Return the record to set aside because earlier workers ended in it; None usually."""
    return attempt.suspect_offset if attempt.suspect_deaths >= worker_deaths else None


def without_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """Return a record without the given lines, or without any; the others keep their numbers."""
    if not lines:
        return b""
    kept = value.split(b"\n")
    for number in lines:
        if number < len(kept):
            kept[number] = b""
    return b"\n".join(kept)


def only_lines(value: bytes, lines: tuple[int, ...]) -> bytes:
    """Return the given lines of a record, or all of it."""
    if not lines:
        return value
    every = value.split(b"\n")
    return b"\n".join(every[number] for number in lines if number < len(every))
