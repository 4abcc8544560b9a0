"""A replayed record counts once, however often it is replayed and however many copies exist."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.core.quarantine.quarantined import Entry
from streams.core.quarantine.replay import replay_source, replayed_value
from streams.core.rollups.deltas import Delta

SOURCES = st.tuples(st.integers(0, 255), st.integers(0, 2**40))


def entry(kind: str, lines: tuple[int, ...]) -> Entry:
    return Entry(kind=kind, partition=0, offset=7, timestamp_ms=1, state="quarantined", lines=lines)


def test_events_go_in_as_they_are() -> None:
    assert replayed_value(entry("events", (1,)), b"{}\n[1]\n{}") == b"[1]"
    assert replayed_value(entry("events", ()), b"{}\n[1]") == b"{}\n[1]"


@given(SOURCES, SOURCES)
def test_each_source_record_has_a_source_of_its_own_that_no_partition_has(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    assert 255 < replay_source(*one) < 2**62
    assert (replay_source(*one) == replay_source(*other)) == (one == other)


def test_copies_of_a_change_are_replayed_alike_and_replays_stay_as_they_are() -> None:
    deltas = [Delta("p", 3, 9, [], []), Delta("q", 3, 9, [], [])]
    value = b"\n".join(map(msgspec.json.encode, deltas))
    once = replayed_value(entry("deltas", (1,)), value)
    assert once == replayed_value(entry("deltas", (0,)), once)
    delta = msgspec.json.decode(once, type=Delta)
    assert (delta.project_id, delta.partition, delta.offset) == ("q", replay_source(3, 9), 0)
