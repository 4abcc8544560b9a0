"""Rules about single traces and calls fire once for each of them."""

from decimal import Decimal

import msgspec
import pytest

from clickhouse.rows import ObservationRow, TraceRow
from producers.control.record import Tombstone
from tests.streams.alerting.rules.rule_book import SECOND_US, START_S, Book, rule


@pytest.fixture
def book() -> Book:
    return Book()


def trace(trace_id: str, cost_pico: int, **fields: object) -> bytes:
    row = TraceRow(
        **{
            "project_id": "p1",
            "id": trace_id,
            "start_us": START_S * SECOND_US,
            "row_version": 1,
            "total_cost_pico": cost_pico,
        }
        | fields
    )
    return msgspec.json.encode(row)


def apply(book: Book, *rows: bytes, source: str = "traces") -> None:
    book.book.apply_rows(source, b"\n".join(rows), book.now_us)
    book.collect()


def test_any_trace_above_a_cost_fires_once_however_often_it_changes(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2"))
    assert book.book.row_sources().keys() == {"traces"}
    apply(book, trace("t1", 1_999_999_999_999), trace("t2", 2_000_000_000_001))
    apply(book, trace("t1", 2_000_000_000_000), trace("t2", 3_000_000_000_000))
    assert book.events == ["firing"]
    assert book.alerts[0].value == Decimal("2.000000000001")
    assert book.change().exemplars == ("t2",)
    apply(book, trace("t1", 2_500_000_000_000))
    assert book.events == ["firing", "firing"]
    assert len({alert.episode for alert in book.alerts}) == 2


def test_a_restart_repeats_no_alert_of_a_trace(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2"))
    apply(book, trace("t1", 3 * 10**12))
    book.restart()
    apply(book, trace("t1", 4 * 10**12))
    assert book.events == ["firing"]


def test_filters_and_groups_read_the_fields_of_the_trace(book: Book) -> None:
    book.put(
        rule(
            metric="trace_cost",
            threshold="2",
            filter={"environment": ("production",), "tags": ("slow",), "user_tier": ("pro",)},
            group_by=("user_id",),
        )
    )
    fields = {
        "environment": "production",
        "tags": ("fast", "slow"),
        "metadata": '{"user_tier":"pro"}',
        "user_id": "ada",
    }
    expensive = 3 * 10**12
    apply(book, trace("t1", expensive, **fields | {"environment": "test"}))
    apply(book, trace("t2", expensive, **fields | {"tags": ("fast",)}))
    apply(book, trace("t3", expensive, **fields | {"metadata": "{}"}))
    apply(book, trace("t4", expensive, **fields | {"project_id": "p2"}))
    assert not book.alerts
    apply(book, trace("t5", expensive, **fields))
    assert book.change().group == {"user_id": "ada"}


def test_the_tokens_of_a_call_are_those_of_the_wanted_types(book: Book) -> None:
    book.put(rule(metric="call_tokens", threshold="100", filter={"usage_type": ("output",)}))
    assert book.book.row_sources().keys() == {"observations"}

    def call(call_id: str, output: int) -> bytes:
        row = ObservationRow(
            project_id="p1",
            trace_id="t1",
            id=call_id,
            start_us=START_S * SECOND_US,
            row_version=1,
            usage={"input": 10_000, "output": output},
        )
        return msgspec.json.encode(row)

    apply(book, call("o1", 100), b"no json", call("o2", 101), source="observations")
    assert book.events == ["firing"]
    assert book.alerts[0].value == 101


def test_a_deleted_rule_needs_no_rows(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2"))
    book.put(Tombstone(kind="alert_rule", id="rule_1"))
    assert not book.book.row_sources()
    apply(book, trace("t1", 3 * 10**12))
    assert not book.alerts


def test_an_alert_of_a_trace_is_firing_for_a_time_and_then_resolved(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2", keep_firing_for_s=60))
    apply(book, trace("t1", 3 * 10**12))
    assert book.states() == {'{"trace_id":"t1"}': "firing"}
    book.pass_s(59)
    apply(book, trace("t1", 4 * 10**12))
    assert book.events == ["firing"]
    book.pass_s(2)
    assert book.events == ["firing", "resolved"]
    assert len({alert.episode for alert in book.alerts}) == 1
    assert book.change().delivered
    assert book.states() == {}


@pytest.mark.parametrize("lose_states", [False, True])
def test_a_restart_resolves_each_alert_of_a_trace_once(book: Book, lose_states: bool) -> None:
    book.put(rule(metric="trace_cost", threshold="2", window_s=300))
    apply(book, trace("t1", 3 * 10**12))
    book.pass_s(200)
    book.restart(lose_states=lose_states)
    assert book.states() == {'{"trace_id":"t1"}': "firing"}
    book.pass_s(101)
    assert book.events == ["firing", "resolved"]
    written = dict(book.rows)
    book.restart()
    book.pass_s(600)
    assert book.events == ["firing", "resolved"]
    assert book.rows == written == {}


def test_a_deleted_or_disabled_rule_resolves_its_alerts(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2"))
    apply(book, trace("t1", 3 * 10**12))
    book.put(rule(metric="trace_cost", threshold="3", version=2))
    assert book.events == ["firing"]
    book.put(rule(metric="trace_cost", threshold="3", version=3, enabled=False))
    assert book.events == ["firing", "resolved"]


def test_the_end_of_a_silenced_alert_of_a_trace_is_not_delivered(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2", shadow=True))
    apply(book, trace("t1", 3 * 10**12))
    book.pass_s(301)
    assert [book.change(0).delivered, book.change(1).delivered] == [False, False]


def test_a_crash_after_the_end_was_announced_leaves_no_state(book: Book) -> None:
    book.put(rule(metric="trace_cost", threshold="2"))
    apply(book, trace("t1", 3 * 10**12))
    firing = dict(book.rows)
    book.pass_s(301)
    book.rows = firing
    book.restart()
    book.pass_s(301)
    assert (book.events, book.rows) == (["firing", "resolved"], {})
