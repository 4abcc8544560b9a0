"""Rules compare with the same window at earlier times, and with what is usual then."""

import pytest

from producers.control.kinds.alert_rule import Anomaly
from streams.core.alerting.rules.earlier import WEEK_S
from streams.core.alerting.rules.panes import Pane
from streams.core.rollups.sketch import key_of
from tests.streams.alerting.rules.rule_book import Book, rule


@pytest.fixture
def book() -> Book:
    return Book()


def answer(book: Book, *values_s: float, group: tuple[str, ...] = ()) -> None:
    """Answer the queries of the book with one earlier window for each latency."""
    for query in book.book.earlier_wanted(book.now_us):
        panes = [Pane([1], {key_of(value_s * 1e6): 1}) for value_s in values_s]
        book.book.earlier_found(query, {group: panes})


def test_a_percentile_that_doubled_since_last_week_fires(book: Book) -> None:
    book.put(rule(metric="p95_latency", comparison=">=", threshold="2", compare_with="week"))
    (query,) = book.book.earlier_wanted(book.now_us)
    ((start_s, end_s),) = query.spans_s
    assert (end_s - start_s, query.end_s - end_s) == (10, WEEK_S)
    answer(book, 3.0)
    book.send(latency_s=5)
    book.pass_s(11)
    assert not book.alerts
    book.send(latency_s=7)
    book.pass_s(11)
    assert book.events == ["firing"]
    assert 2.2 < book.alerts[0].value < 2.5
    assert "the value of the earlier window" in book.change().reason


def test_without_the_store_a_comparison_is_incomplete_and_fires_nothing(book: Book) -> None:
    book.put(rule(metric="p95_latency", threshold="2", compare_with="hour"))
    book.send(latency_s=100)
    book.pass_s(11)
    assert not book.alerts
    assert [row.incomplete for row in book.rows.values()] == [1]


def test_a_comparison_fires_once_the_store_answers_although_no_further_event_comes(
    book: Book,
) -> None:
    compared = {"metric": "p95_latency", "threshold": "2", "compare_with": "hour"}
    book.put(rule(**compared, window_s=600, group_by=("model",)))
    book.send(latency_s=100)
    book.pass_s(60)
    assert not book.alerts
    answer(book, 1.0, group=("m",))
    book.pass_s(11)
    assert book.events == ["firing"]


def test_earlier_values_become_outdated(book: Book) -> None:
    book.put(rule(metric="p95_latency", threshold="2", compare_with="hour"))
    answer(book, 1.0)
    assert not book.book.earlier_wanted(book.now_us)
    book.pass_s(300)
    assert book.book.earlier_wanted(book.now_us)
    book.send(latency_s=100)
    book.pass_s(11)
    assert not book.alerts
    answer(book, 1.0)
    book.send(latency_s=100)
    book.pass_s(11)
    assert book.events == ["firing"]


def test_a_deviation_from_the_usual_values_fires_and_names_them(book: Book) -> None:
    book.put(
        rule(
            metric="p50_latency",
            threshold="4",
            anomaly=Anomaly(weeks=4, season="week", samples_min=3),
        )
    )
    answer(book, 1.0, 1.1, 0.9, 1.05)
    book.send(latency_s=1.2)
    book.pass_s(11)
    assert not book.alerts
    book.send(latency_s=3)
    book.pass_s(11)
    assert book.events == ["firing"]
    assert "the median of the same hours at 4 earlier times" in book.change().reason


def test_too_few_earlier_values_are_no_data(book: Book) -> None:
    book.put(rule(metric="p50_latency", threshold="4", anomaly=Anomaly(samples_min=3)))
    answer(book, 1.0, 1.0)
    book.send(latency_s=100)
    book.pass_s(11)
    assert not book.alerts


@pytest.mark.parametrize(("direction", "fires"), [("below", True), ("above", False)])
def test_a_direction_selects_the_deviations(book: Book, direction: str, fires: bool) -> None:
    book.put(
        rule(
            metric="p50_latency",
            threshold="4",
            anomaly=Anomaly(direction=direction, samples_min=3),
        )
    )
    answer(book, 1.0, 1.1, 0.9)
    book.send(latency_s=0.01)
    book.pass_s(11)
    assert bool(book.alerts) is fires
