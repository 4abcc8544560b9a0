"""Late windows, and changes of rules and restarts, change alerts as they should."""

import pytest

from producers.control.record import Tombstone
from tests.streams.alerting.rules.rule_book import SECOND_US, START_S, Book, rule


@pytest.fixture
def book() -> Book:
    return Book()


def test_a_late_change_of_a_past_window_fires(book: Book) -> None:
    book.put(rule())
    book.send(latency_s=1)
    book.pass_s(30)
    book.send(latency_s=1)
    book.send(START_S + 10, latency_s=20)
    book.pass_s(11)
    assert book.events[:1] == ["firing"]
    assert book.change(0).window_start_us == (START_S + 10) * SECOND_US


def test_a_change_that_is_too_late_changes_no_alert(book: Book) -> None:
    book.put(rule(metric="count", threshold="2", comparison=">="))
    book.send()
    book.send(START_S - 1_000, count=5)
    book.pass_s(30)
    assert not book.alerts
    assert book.reached == {"late_max_s": 1}


def test_a_time_in_the_future_does_not_move_the_clock(book: Book) -> None:
    book.put(rule(metric="count", threshold="3", comparison=">="))
    book.send(START_S + 86_400, count=2)
    book.send()
    assert book.events == ["firing"]
    book.pass_s(1)
    assert book.reached == {"clock_ahead": 1}


def test_a_deleted_rule_resolves_its_episodes(book: Book) -> None:
    book.put(rule(metric="count", threshold="1", comparison=">="))
    book.send()
    book.put(Tombstone(kind="alert_rule", id="rule_1"))
    assert book.events == ["firing", "resolved"]
    assert not book.rows


def test_a_disabled_rule_resolves_its_episodes(book: Book) -> None:
    book.put(rule(metric="count", threshold="1", comparison=">="))
    book.send()
    book.put(rule(metric="count", threshold="1", comparison=">=", enabled=False))
    assert book.events == ["firing", "resolved"]
    assert not book.rows


def test_a_changed_threshold_keeps_what_was_counted(book: Book) -> None:
    book.put(rule(metric="count", threshold="9", comparison=">=", window_s=600))
    book.send(count=5)
    book.put(rule(metric="count", threshold="6", comparison=">=", window_s=600, version=2))
    book.send()
    assert book.events == ["firing"]


@pytest.mark.parametrize(
    ("metric", "before", "after"),
    [("count", {"threshold": "9"}, {"threshold": "3"}),
     ("avg_latency", {"threshold": "9"}, {"threshold": "3"}),
     ("avg_latency", {"threshold": "3", "min_count": 9}, {"threshold": "3", "min_count": 2})],
)  # fmt: skip
def test_a_changed_condition_that_is_met_fires_although_no_further_event_comes(
    book: Book, metric: str, before: dict[str, object], after: dict[str, object]
) -> None:
    same = {"metric": metric, "window_s": 600, "group_by": ("model",)}
    book.put(rule(**same, **before))
    book.send(count=5, latency_s=5)
    book.pass_s(30)
    assert not book.alerts
    book.put(rule(**same, **after, version=2))
    book.pass_s(11)
    assert book.events == ["firing"]
    book.put(rule(**same, **before, version=3))
    book.pass_s(11)
    assert book.events == ["firing", "resolved"]


def test_a_rule_of_an_unknown_metric_is_in_error_and_stops_no_other(book: Book) -> None:
    book.put(
        rule(id="rule_0", metric="unknown"), rule(metric="count", threshold="1", comparison=">=")
    )
    book.send()
    assert book.events == ["firing"]
    assert {row.rule_id: row.state for row in book.rows.values()} == {
        "rule_0": "error",
        "rule_1": "firing",
    }


def test_a_rule_is_incomplete_until_its_window_is(book: Book) -> None:
    book.put(rule(window_s=60), complete=False)
    book.send(latency_s=9)
    book.pass_s(30)
    assert not book.alerts
    (row,) = book.rows.values()
    assert row.incomplete
    assert row.complete_since_us == (START_S + 10) * SECOND_US
    for _ in range(7):
        book.send(latency_s=9)
        book.pass_s(10)
    assert book.events == ["firing"]
    assert not next(iter(book.rows.values())).incomplete


@pytest.mark.parametrize("lose_states", [False, True])
def test_a_restart_pages_nobody_twice(book: Book, lose_states: bool) -> None:
    book.put(rule(metric="count", threshold="2", comparison=">=", window_s=60, group_by=("model",)))
    book.send(model="a", count=2)
    book.send(model="b", count=1)
    book.restart(lose_states=lose_states)
    book.complete()
    book.send(model="a", count=2)  # read again
    book.pass_s(5)
    assert book.events == ["firing"]
    book.pass_s(120)
    assert book.events == ["firing", "resolved"]
    assert book.alerts[0].episode == book.alerts[1].episode


def test_a_resolved_episode_does_not_fire_again_when_its_deltas_are_read_again(book: Book) -> None:
    book.put(rule(metric="count", threshold="2", comparison=">=", window_s=10))
    book.send(count=2)
    book.pass_s(25)
    assert book.events == ["firing", "resolved"]
    book.restart()
    now_s, book.now_s = book.now_s, START_S
    book.send(count=2)
    book.now_s = now_s
    book.pass_s(25)
    assert book.events == ["firing", "resolved"]
