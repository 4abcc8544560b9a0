"""Rules about scores select and group by the model and prompt of the scored observation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.alerting.rules.scored_calls import Call, CallKey
from tests.streams.alerting.rules.rule_book import Book, rule
from tests.streams.alerting.rules.test_score_rules import MEAN, begin, read, score, send

CHEAP, GOOD = Call("cheap", "answer", "support", "7"), Call("good", "answer", "support", "8")
BY_MODEL: dict[str, Any] = MEAN | {"group_by": ("model",), "filter": {"prompt_name": ("support",)}}


@pytest.fixture
def book() -> Book:
    return Book()


def of(number: int) -> dict[str, str]:
    return {"trace_id": "t", "observation_id": f"o{number}"}


def answer(book: Book, known: dict[int, Call] | None) -> list[CallKey]:
    """Answer all look-ups: the store has the observations ``known``; None: it is away."""
    asked: list[CallKey] = []
    for query in book.book.calls_wanted(100):
        asked += query.calls
        found = None
        if known is not None:
            stored = {("t", f"o{number}"): call for number, call in known.items()}
            found = {key: stored[key] for key in query.calls if key in stored}
        book.book.calls_found(query, found, book.now_us)
    book.collect()
    return asked


def test_the_mean_of_each_model_is_compared(book: Book) -> None:
    begin(book, rule(**BY_MODEL))
    send(book, score("a", 0.2, book.now_s, **of(1)), score("b", 0.9, book.now_s, **of(2)))
    assert book.events == [], "the observations are not known yet"
    assert answer(book, {1: CHEAP, 2: GOOD}) == [("t", "o1"), ("t", "o2")]
    assert [(each.event, book.change().group) for each in book.alerts] == [
        ("alert.firing", {"model": "cheap"}),
    ]  # fmt: skip
    assert answer(book, {}) == [], "nothing is looked up twice"


def test_a_filter_selects_a_version_of_a_prompt_and_values_of_scores(book: Book) -> None:
    share = rule(
        metric="score_share", threshold="0.5", comparison=">=", window_s=600,
        filter={"score_value": ("< 0.5",), "prompt_version": ("8",), "score_name": ("quality",)},
    )  # fmt: skip
    begin(book, share)
    send(book, score("a", 0.2, book.now_s, **of(1)))
    answer(book, {1: CHEAP})
    assert book.events == []
    send(book, score("b", 0.2, book.now_s, **of(2)))
    answer(book, {2: GOOD})
    assert book.events == ["firing"]


def test_a_score_that_arrives_before_its_observation_waits_for_it(book: Book) -> None:
    begin(book, rule(**BY_MODEL))
    send(book, score("a", 0.2, book.now_s, **of(1)))
    answer(book, {})
    book.pass_s(30)
    answer(book, {})
    assert book.events == []
    answer(book, {1: CHEAP})
    assert book.change().group == {"model": "cheap"}


def test_a_score_whose_observation_does_not_come_counts_without_a_model(book: Book) -> None:
    begin(book, rule(**MEAN, group_by=("model",)))
    send(book, score("a", 0.2, book.now_s, **of(1)), score("whole trace", 0.1, book.now_s))
    assert book.change().group == {"model": ""}
    book.pass_s(61)
    answer(book, {})
    assert answer(book, {}) == []
    book.pass_s(2)
    assert book.reached == {"score_call_wait_max_s": 1}


def test_rules_are_incomplete_while_the_store_is_away_and_lose_no_score(book: Book) -> None:
    begin(book, rule(**BY_MODEL))
    send(book, score("a", 0.2, book.now_s, **of(1)))
    answer(book, {1: CHEAP})
    assert book.events == ["firing"]
    send(book, score("b", 1.0, book.now_s, **of(2)))
    answer(book, None)
    book.pass_s(900)
    assert book.events == ["firing"], "the window is incomplete, so nothing is resolved"
    send(book, score("c", 0.3, book.now_s, **of(3)))
    answer(book, {2: CHEAP, 3: GOOD})
    book.pass_s(15)
    assert book.events.count("firing") == 2
    assert book.events[-1] == "resolved"


def test_a_new_version_of_a_score_replaces_it_in_the_group_of_its_model(book: Book) -> None:
    begin(book, rule(**BY_MODEL))
    send(book, score("a", 0.9, book.now_s, **of(1)))
    answer(book, {1: CHEAP})
    book.pass_s(1)
    send(book, score("a", 0.1, book.now_s, **of(1)))
    assert book.events == ["firing"], "the observation is known"
    book.pass_s(1)
    send(book, score("a", 0.1, book.now_s, **of(1), is_deleted=1))
    book.pass_s(15)
    assert book.events == ["firing", "resolved"]


def test_a_new_rule_counts_earlier_scores_when_their_observations_are_known(book: Book) -> None:
    begin(book, rule(id="rule_0", **MEAN | {"threshold": "0"}))
    send(book, score("a", 0.2, book.now_s, **of(1)))
    book.put(rule(**BY_MODEL))
    read(book)
    assert book.events == []
    answer(book, {1: CHEAP})
    assert book.change().group == {"model": "cheap"}


@given(
    scores=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10)), max_size=12),
    answered=st.lists(st.integers(0, 12), max_size=4),
)
def test_the_means_are_those_of_all_scores_whenever_their_observations_are_found(
    scores: list[tuple[int, int]], answered: list[int]
) -> None:
    book = Book()
    begin(book, rule(**MEAN | {"threshold": "1"}, group_by=("model",)))
    calls = {number: (CHEAP, GOOD)[number % 2] for number in range(6)}
    latest: dict[int, int] = {}
    for number, (identity, value) in enumerate(scores):
        latest[identity] = value
        sent = score(f"s{identity}", value / 10, book.now_s, **of(identity), row_version=number + 1)
        send(book, sent)
        if number in answered:
            answer(book, calls)
    answer(book, calls)
    project = book.book._projects["p1"]
    (series,) = project.series.values()
    for model, parity in (("cheap", 0), ("good", 1)):
        values = [value for identity, value in latest.items() if identity % 2 == parity]
        sums = series.sums((model,), 0).sums
        assert sums[:2] == [len(values), sum(values) * 10**11], (model, values)
