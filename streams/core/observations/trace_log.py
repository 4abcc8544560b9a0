"""The log of traces: the hashes of all traces that a partition of stage 1 has ever created.

Stage 1 must know whether a trace exists before it folds the first event of one that is not in
memory. The log answers this without the store. A record contains hashes. Its headers state that the
records from ``begin`` up to this one contain every trace with a row before the offset ``traces_to``
of the topic ``traces``; later traces are found in the rows that follow. This holds whichever worker
wrote the record, because every trace has a row, and a successor creates the same traces again.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from streams.core.observations.seen import trace_hash

BEGIN: Final = "begin"
TRACES_TO: Final = "traces_to"
MARKER: Final = "marker"
"""Header of the first record of a complete list of hashes."""
HASH_BYTES: Final = 8

Headers = Sequence[tuple[str, bytes]]


class _RowKey(msgspec.Struct):
    """The key of a row of a trace."""

    project_id: str
    id: str


_keys: Final = msgspec.json.Decoder(_RowKey)


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A record of the log of traces."""

    offset: int
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class LoggedTraces:
    """The content of the log.

    Attributes:
        hashes: the hashes in the order of the log; some may repeat.
        begin: offset of the first record that is needed.
        traces_to: offset of ``traces`` before which every trace is included.
        records: number of records from ``begin`` on.
    """

    hashes: array[int]
    begin: int
    traces_to: int
    records: int


def logged_traces(records: Iterable[LogRecord], first_offset: int) -> LoggedTraces | None:
    """Return the content of the log, which now begins at ``first_offset``.

    Returns None if it is not complete: it has no complete list yet, or lost records.
    """
    kept = [record for record in records if record.offset >= first_offset]
    begin = traces_to = -1
    holes = [record.offset for record in kept if not record.value and not record.headers]
    for record in kept:
        found = _claim(record.headers)
        if found is None or found[0] < first_offset or found[1] < traces_to:
            continue
        hole = bisect_left(holes, found[0])
        if hole == len(holes) or holes[hole] >= record.offset:
            begin, traces_to = found
    if begin < 0:
        return None
    hashes = array("Q")
    needed = [record for record in kept if record.offset >= begin]
    for record in needed:
        hashes.extend(decode_hashes(record.value))
    return LoggedTraces(hashes, begin, traces_to, len(needed))


def headers_of(begin: int, traces_to: int) -> Headers:
    """Return the headers of a record after which the log is complete."""
    return [(BEGIN, str(begin).encode()), (TRACES_TO, str(traces_to).encode())]


def encode_hashes(hashes: array[int]) -> bytes:
    """Return the value of a record."""
    if sys.byteorder == "big":
        hashes = array("Q", hashes)
        hashes.byteswap()
    return hashes.tobytes()


def decode_hashes(value: bytes) -> array[int]:
    """Return the hashes of a record; an incomplete last one is ignored."""
    hashes = array("Q")
    hashes.frombytes(value[: len(value) // HASH_BYTES * HASH_BYTES])
    if sys.byteorder == "big":
        hashes.byteswap()
    return hashes


def hashes_of_rows(value: bytes) -> array[int] | None:
    """Return the hashes of the traces of a record of ``traces``; None if it cannot be read."""
    if not value:
        return None  # workers write no empty record: this one replaces a lost one
    try:
        keys = _keys.decode_lines(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return array("Q", [trace_hash((key.project_id, key.id)) for key in keys])


def _claim(headers: Headers) -> tuple[int, int] | None:
    """Return ``begin`` and ``traces_to`` of a record; None if it has none."""
    found = dict(headers)
    begin, traces_to = found.get(BEGIN, b""), found.get(TRACES_TO, b"")
    return (int(begin), int(traces_to)) if begin.isdigit() and traces_to.isdigit() else None
