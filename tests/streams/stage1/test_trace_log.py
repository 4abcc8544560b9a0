"""The log of traces is used only if it contains every trace."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.observations.seen import SeenTraces, trace_hash
from streams.core.observations.trace_log import (
    MARKER,
    LogRecord,
    decode_hashes,
    encode_hashes,
    hashes_of_rows,
    headers_of,
    logged_traces,
)

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=50)


def record(offset: int, *hashes: int, claim: tuple[int, int] | None = None) -> LogRecord:
    headers = headers_of(*claim) if claim else []
    return LogRecord(offset, encode_hashes(array("Q", hashes)), headers)


def marker(offset: int) -> LogRecord:
    return LogRecord(offset, b"", [(MARKER, b"1")])


COMPLETE = [marker(0), record(1, 5, 6), record(2, 7, claim=(0, 40)), record(3, 8, claim=(0, 44))]


def test_it_contains_the_records_from_its_begin() -> None:
    found = logged_traces([record(0, 1), *(_moved(each) for each in COMPLETE)], 0)
    assert found is not None
    assert (list(found.hashes), found.traces_to, found.begin) == ([5, 6, 7, 8], 44, 1)
    assert found.records == 4


@pytest.mark.parametrize(
    ("records", "first"),
    [
        ([], 0),
        (COMPLETE[:2], 0),  # the worker ended before all traces were written
        (COMPLETE, 1),  # the begin was deleted
        ([COMPLETE[0], LogRecord(1, b"", []), *COMPLETE[2:]], 0),  # `recover` replaced a record
    ],
)
def test_an_incomplete_log_is_not_used(records: list[LogRecord], first: int) -> None:
    assert logged_traces(records, first) is None


def test_a_lost_record_at_the_end_does_not_hide_what_is_complete_before_it() -> None:
    found = logged_traces([*COMPLETE, LogRecord(4, b"", []), record(5, 9, claim=(0, 50))], 0)
    assert found is not None
    assert found.traces_to == 44


def test_a_late_record_of_an_earlier_worker_does_not_reduce_what_is_known() -> None:
    found = logged_traces([*COMPLETE, record(4, 9, claim=(0, 41))], 0)
    assert found is not None
    assert (found.traces_to, list(found.hashes)) == (44, [5, 6, 7, 8, 9])


@given(HASHES)
def test_hashes_are_decoded_as_they_were_encoded(hashes: list[int]) -> None:
    assert list(decode_hashes(encode_hashes(array("Q", hashes)))) == hashes


@given(HASHES, HASHES)
def test_added_hashes_are_contained_and_yielded_once(first: list[int], second: list[int]) -> None:
    seen = SeenTraces(array("Q", sorted(set(first))))
    seen.add_hashes(second)
    assert all(seen.has_hash(each) for each in (*first, *second))
    yielded = [each for part in seen.hashes(7) for each in part]
    assert yielded == sorted({*first, *second})
    assert len(seen) == len(yielded)


def test_the_traces_of_rows_are_those_of_all_lines() -> None:
    lines = b'{"project_id":"p","id":"a","name":"x"}\n{"id":"b","project_id":"p","is_deleted":1}'
    found = hashes_of_rows(lines)
    assert found is not None
    assert list(found) == [trace_hash(("p", "a")), trace_hash(("p", "b"))]
    assert hashes_of_rows(b"") is None
    assert hashes_of_rows(b"{") is None


def _moved(each: LogRecord) -> LogRecord:
    """Return a record one offset later."""
    headers = (
        headers_of(1, int(dict(each.headers)["traces_to"]))
        if len(each.headers) > 1
        else (each.headers)
    )
    return LogRecord(each.offset + 1, each.value, headers)
