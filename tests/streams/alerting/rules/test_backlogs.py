"""While a backlog is read, rules find the episodes that they would have found without it."""

import random

import pytest

from producers.control.kinds.alert_rule import AlertRule
from streams.core.alerting.rules.rule import Rule
from streams.core.alerting.rules.window_evaluation import WindowEvaluation
from tests.streams.alerting.rules.rule_book import Book, rule

RULES = (
    {"metric": "count", "threshold": "3", "comparison": ">=", "window_s": 60, "for_s": 30},
    {"metric": "error_rate", "threshold": "0.3", "comparison": ">", "window_s": 120, "for_s": 60},
    {"metric": "error_rate", "threshold": "0.3", "window_s": 60, "keep_firing_for_s": 40},
    {"metric": "avg_latency", "threshold": "2", "comparison": "<", "window_s": 60, "min_count": 2},
    {"metric": "count", "threshold": "4", "window_s": 30, "no_data": "alert", "for_s": 10},
    {"metric": "cost", "threshold": "5", "calendar": "day", "window_s": 86_400, "for_s": 300},
)


def test_an_episode_between_two_events_of_a_backlog_fires_and_is_resolved() -> None:
    book = Book()
    book.put(rule(metric="count", threshold="3", comparison=">=", window_s=60, for_s=30))
    book.send(count=5)
    book.now_s += 600
    book.send()
    assert book.events == ["firing", "resolved"]


def test_a_condition_of_a_day_that_holds_in_a_backlog_fires() -> None:
    book = Book()
    book.put(rule(metric="cost", threshold="5", calendar="day", window_s=86_400, for_s=3_600))
    book.send(cost_pico=6 * 10**12)
    book.now_s += 13 * 3_600
    book.send()
    assert book.events == ["firing", "resolved"]


def test_the_end_of_the_window_in_a_backlog_is_the_end_of_the_episode() -> None:
    book = Book()
    book.put(rule(metric="count", threshold="3", comparison=">=", window_s=20))
    book.send(count=5)
    book.now_s += 3_600
    book.send()
    assert book.events == ["firing", "resolved"]
    assert book.change().window_end_us == book.change(0).window_end_us + 20 * 10**6


@pytest.mark.parametrize("seed", range(6))
def test_a_backlog_has_the_same_alerts_as_the_events_when_they_happened(seed: int) -> None:
    live, backlog = played(seed, ticks=True), played(seed, ticks=False)
    assert live.events
    found = [
        [(each.rule_id, each.event, each.value, each.episode) for each in book.alerts]
        for book in (live, backlog)
    ]
    assert sorted(found[1], key=str) == sorted(found[0], key=str)


def played(seed: int, *, ticks: bool) -> Book:
    """Send random events, each at the start of a pane; without ticks as a backlog is read."""
    draw = random.Random(seed)
    book = Book()
    book.put(*rules())
    for _ in range(40):
        errors = draw.choice((0, 0, 1))
        book.send(
            count=draw.choice((1, 2, 5)), errors=errors, latency_s=draw.choice((1, 4)),
            cost_pico=draw.choice((0, 10**12)),
        )  # fmt: skip
        pause_s = draw.choice((10, 10, 20, 50, 90, 200, 700))
        if ticks:
            book.pass_s(pause_s)
        else:
            book.now_s += pause_s
    book.pass_s(1_000)
    return book


def rules() -> list[AlertRule]:
    return [rule(id=f"rule_{n}", **fields) for n, fields in enumerate(RULES)]


def test_a_long_pause_in_a_backlog_takes_as_many_evaluations_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: dict[int, int] = {}
    evaluate = WindowEvaluation.ended
    for pause_s in (2 * 86_400, 300 * 86_400):
        ends_s: list[int] = []

        def ended(self: WindowEvaluation, of: Rule, end_s: int, ends_s: list[int] = ends_s) -> None:
            ends_s.append(end_s)
            evaluate(self, of, end_s)

        monkeypatch.setattr(WindowEvaluation, "ended", ended)
        book = Book()
        book.put(rule(metric="count", threshold="3", window_s=86_400, for_s=3_600))
        book.send(count=5)
        book.now_s += pause_s
        book.send()
        assert book.events == ["firing", "resolved"]
        taken[pause_s] = len(ends_s)
    assert len({*taken.values()}) == 1
    assert max(taken.values()) < 10
