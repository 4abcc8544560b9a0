"""Counts of gateways add up, whatever is read again, removed or counted at midnight."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.usage.counts import UsageCounts, Used
from producers.usage.periods import Today

NOON_S = datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),  # gateway
        st.sampled_from(["a", "b"]),  # project
        st.integers(0, 50),
        st.integers(0, 500),
        st.booleans(),  # whether it writes then
    ),
    max_size=40,
)


class Clock:
    def __init__(self) -> None:
        self.now_s = NOON_S

    def __call__(self) -> float:
        return self.now_s


def counts_of(gateway: str, clock: Clock) -> UsageCounts:
    return UsageCounts(now_s=clock, gateway_id=gateway)


@given(STEPS, st.randoms())
def test_every_process_knows_the_sum_of_what_all_have_written(
    steps: list[tuple[int, str, int, int, bool]], order: random.Random
) -> None:
    clock = Clock()
    gateways = [counts_of(f"g{number}", clock) for number in range(3)]
    log: list[tuple[str, bytes | None]] = []
    expected = {"a": [0, 0], "b": [0, 0]}
    for number, project, events, size, writes in steps:
        gateways[number].add(project, events, size)
        expected[project][0] += events
        expected[project][1] += size
        if writes:
            log += gateways[number].take_unwritten().items()
    for gateway in gateways:
        log += gateway.take_unwritten().items()

    compacted = list(dict(log).items())
    order.shuffle(compacted)
    # All of the log in its order, then a part of it again, then as after compaction.
    for reader, read in [(gateway, log) for gateway in gateways] + [
        (counts_of("late", clock), log + compacted),
        (counts_of("later", clock), compacted),
    ]:
        for key, value in read:
            reader.apply(key, value)
        for project, (events, size) in expected.items():
            assert reader.used(project, "day") == reader.used(project, "month")
            assert reader.used(project, "day") == Used(events, size)


def test_a_restarted_gateway_goes_on_from_what_it_had_written() -> None:
    clock = Clock()
    before = counts_of("before", clock)
    before.add("a", 5, 50)
    written = before.take_unwritten()
    before.add("a", 1, 1)  # lost with the process
    after = counts_of("after", clock)
    for key, value in written.items():
        after.apply(key, value)
    after.add("a", 2, 20)
    assert after.used("a", "month") == Used(7, 70)


def test_a_day_ends_at_midnight_and_a_month_with_its_last_day() -> None:
    clock = Clock()
    mine, others = counts_of("mine", clock), counts_of("others", clock)
    mine.add("a", 1, 10)
    others.add("a", 2, 20)
    for key, value in others.take_unwritten().items():
        mine.apply(key, value)
    clock.now_s += DAY_S
    assert mine.used("a", "day") == Used(0, 0)
    assert mine.used("a", "month") == Used(3, 30)
    mine.add("a", 4, 40)
    assert mine.used("a", "day") == Used(4, 40)
    assert mine.used("a", "month") == Used(7, 70)
    clock.now_s += 2 * DAY_S  # December
    assert mine.used("a", "day") == mine.used("a", "month") == Used(0, 0)
    assert list(mine.take_unwritten().values()).count(None) == 1, "the record of others goes"


def test_what_is_taken_back_after_midnight_takes_nothing_of_the_new_day() -> None:
    clock = Clock()
    counts = counts_of("g", clock)
    counts.add("a", 5, 50)
    clock.now_s += DAY_S
    counts.add("a", -5, -50)
    assert counts.used("a", "day") == Used(0, 0)


def test_a_deleted_project_is_forgotten_by_all() -> None:
    clock = Clock()
    first, second = counts_of("first", clock), counts_of("second", clock)
    first.add("a", 5, 50)
    second.add("a", 6, 60)
    log = [*first.take_unwritten().items(), *second.take_unwritten().items()]
    for key, value in log:
        first.apply(key, value)
    first.forget("a")
    assert first.used("a", "month") == Used(0, 0)
    assert first.take_unwritten() == {key: None for key, _ in log}


def test_what_the_broker_did_not_take_is_written_later() -> None:
    clock = Clock()
    counts = counts_of("g", clock)
    counts.add("a", 5, 50)
    unwritten = counts.take_unwritten()
    assert counts.take_unwritten() == {}
    counts.not_written(unwritten)
    counts.add("a", 1, 1)
    (again,) = counts.take_unwritten().values()
    assert again is not None
    assert b'"day_events":6' in again


@pytest.mark.parametrize(
    ("at", "day_ends", "month_ends"),
    [
        ((2026, 11, 28, 23), (2026, 11, 29), (2026, 12, 1)),
        ((2026, 12, 31, 0), (2027, 1, 1), (2027, 1, 1)),
        ((2028, 2, 29, 12), (2028, 3, 1), (2028, 3, 1)),
    ],
)
def test_periods_end_in_utc(
    at: tuple[int, ...], day_ends: tuple[int, ...], month_ends: tuple[int, ...]
) -> None:
    today = Today.of(datetime(*at, tzinfo=UTC).timestamp())  # type: ignore[misc, arg-type]
    for period, ends in (("day", day_ends), ("month", month_ends)):
        assert today.end_of(period) == datetime(*ends, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]
