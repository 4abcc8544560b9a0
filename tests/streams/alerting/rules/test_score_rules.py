"""Rules about scores fire with the score that makes them true, and corrections count."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickhouse.rows import ScoreRow
from streams.alerting.settings import AlertingSettings
from tests.streams.alerting.rules.rule_book import SECOND_US, START_S, Book, rule

MEAN: dict[str, Any] = {
    "metric": "score_mean", "threshold": "0.7", "comparison": "<", "window_s": 600,
}  # fmt: skip


@pytest.fixture
def book() -> Book:
    return Book()


def score(score_id: str, value: float | None, at_s: float = START_S, **fields: Any) -> bytes:
    given: dict[str, Any] = {
        "project_id": "p1", "id": score_id, "event_us": round(at_s * SECOND_US),
        "row_version": round(at_s * SECOND_US), "name": "quality", "value": value,
        "trace_id": f"trace-{score_id}",
    }  # fmt: skip
    return msgspec.json.encode(ScoreRow(**(given | fields)))


def send(book: Book, *rows: bytes) -> None:
    book.book.apply_rows("scores", b"\n".join(rows), book.now_us)
    book.collect()


def begin(book: Book, *rules: Any) -> None:
    book.put(*rules)
    book.pass_s(1)
    read(book)


def read(book: Book) -> None:
    book.book.rows_read(book.book.older_rows())
    book.collect()


def test_a_mean_fires_with_the_score_that_lowers_it(book: Book) -> None:
    begin(book, rule(**MEAN))
    assert book.book.row_sources().keys() == {"scores"}
    send(book, score("a", 0.9, book.now_s), score("b", 0.5, book.now_s))
    assert book.events == []
    send(book, score("c", 0.6, book.now_s))
    assert book.events == ["firing"]
    assert book.alerts[0].value is not None
    assert format(book.alerts[0].value, "f") == "0.666666666667"
    assert book.change().exemplars == ("trace-c", "trace-b", "trace-a")
    send(book, score("d", 1, book.now_s), score("e", 1, book.now_s))
    book.pass_s(15)
    assert book.events == ["firing", "resolved"]


def test_a_score_with_the_same_id_replaces_the_earlier_one(book: Book) -> None:
    begin(book, rule(**MEAN))
    send(book, score("a", 1, book.now_s))
    for _ in range(3):
        send(book, score("a", 1, book.now_s))
    send(book, score("b", 0.41, book.now_s))
    assert book.events == []  # with the duplicates not counted, the mean is 0.705
    book.pass_s(30)
    send(book, score("b", 0.3, book.now_s))
    assert book.events == ["firing"]
    send(book, score("b", 0.5, book.now_s - 29))  # an older version
    book.pass_s(60)
    assert book.events == ["firing"]
    send(book, score("b", 0.3, book.now_s, is_deleted=1))
    book.pass_s(15)
    assert book.events == ["firing", "resolved"]


def test_a_replacement_is_never_evaluated_in_halves(book: Book) -> None:
    begin(book, rule(**MEAN))
    send(book, score("a", 1, book.now_s), score("b", 0.5, book.now_s))
    for _ in range(100):
        book.pass_s(10)
        send(book, score("a", 0.95, book.now_s), score("b", 0.5, book.now_s))
    assert book.events == []


def test_scores_are_selected_and_grouped(book: Book) -> None:
    begin(
        book,
        rule(**MEAN, id="rule_1", filter={"score_name": ("quality",)}),
        rule(**MEAN, id="rule_2", group_by=("score_name", "environment")),
    )
    send(
        book,
        score("a", 0.1, book.now_s, name="other", environment="production"),
        score("b", 0.9, book.now_s),
        score("c", None, book.now_s, data_type="CATEGORICAL", string_value="0.1"),
    )
    assert [alert.rule_id for alert in book.alerts] == ["rule_2"]
    assert book.change().group == {"score_name": "other", "environment": "production"}


@pytest.mark.parametrize(
    ("condition", "rows", "fires"),
    [
        ("true", [{"data_type": "BOOLEAN", "value": 1.0}], True),
        ("True", [{"data_type": "BOOLEAN", "value": 1.0}], True),
        ("true", [{"data_type": "BOOLEAN", "value": 0.0}], False),
        ("bad", [{"data_type": "CATEGORICAL", "value": None, "string_value": "bad"}], True),
        ("bad", [{"data_type": "CATEGORICAL", "value": None, "string_value": "good"}], False),
        (">= 0.8", [{"value": 0.8}], True),
        ("<0.8", [{"value": 0.8}], False),
        ("1", [{"value": 1.0}], True),
        ("bad", [{"value": 0.1}, {"value": 0.2}], False),
    ],
)
def test_a_share_counts_the_scores_that_meet_a_condition(
    book: Book, condition: str, rows: list[dict[str, Any]], fires: bool
) -> None:
    begin(
        book,
        rule(
            metric="score_share",
            threshold="0.5",
            window_s=60,
            filter={"score_value": (condition,)},
        ),
    )
    for index, fields in enumerate(rows):
        send(book, score(f"s{index}", **({"value": 1.0, "at_s": book.now_s} | fields)))
    assert book.events == (["firing"] if fires else [])


def test_min_count_counts_scores(book: Book) -> None:
    begin(book, rule(**MEAN, min_count=3))
    send(book, score("a", 0.1, book.now_s), score("b", 0.1, book.now_s))
    assert book.events == []
    send(book, score("c", 0.1, book.now_s))
    assert book.events == ["firing"]


def test_a_restart_reads_the_scores_again_and_announces_nothing_twice(book: Book) -> None:
    begin(book, rule(**MEAN))
    rows = [score("a", 0.9, book.now_s), score("b", 0.1, book.now_s)]
    send(book, *rows)
    assert book.events == ["firing"]
    book.pass_s(30)
    book.restart()
    assert book.book.older_rows()["scores"] <= START_S * SECOND_US
    book.pass_s(11)
    assert book.events == ["firing"]  # what the window contains is unknown until the rows are read
    send(book, *rows)
    read(book)
    book.pass_s(30)
    assert book.events == ["firing"]
    send(book, score("c", 1, book.now_s), score("d", 1, book.now_s))
    book.pass_s(15)
    assert book.events == ["firing", "resolved"]


def test_a_new_rule_contains_earlier_scores(book: Book) -> None:
    begin(book, rule(**MEAN, id="rule_1"))
    send(book, score("a", 0.9, book.now_s), score("b", 0.5, book.now_s))
    book.pass_s(5)
    shorter = MEAN | {"window_s": 300, "threshold": "0.71"}
    book.put(rule(**shorter, id="rule_2", created_us=book.now_us))
    assert not book.book.older_rows()
    assert [alert.rule_id for alert in book.alerts] == ["rule_2"]
    longer = MEAN | {"window_s": 3_600, "threshold": "0.71"}
    book.put(rule(**longer, id="rule_3", created_us=book.now_us))
    assert book.book.older_rows()["scores"] < (START_S - 3_600) * SECOND_US
    assert len(book.alerts) == 1
    read(book)
    assert [alert.rule_id for alert in book.alerts] == ["rule_2", "rule_3"]


def test_more_scores_than_the_limit_are_counted_and_mark_new_rules() -> None:
    book = Book(AlertingSettings(rule_scores_max=2))
    begin(book, rule(**MEAN))
    for name in "abc":
        send(book, score(name, 1, book.now_s))
    book.pass_s(1)
    assert book.reached == {"rule_scores_max": 1}


def test_extreme_values_stop_nothing(book: Book) -> None:
    begin(book, rule(**MEAN))
    send(book, b"{", b"{}", score("a", 1e300, book.now_s), score("b", -1e-300, book.now_s))
    assert book.events == ["firing"]
    assert [row.state for row in book.rows.values()] == ["firing"]


def test_scores_are_forgotten_with_their_last_rule(book: Book) -> None:
    begin(book, rule(**MEAN))
    send(book, score("a", 1, book.now_s))
    book.put(rule(**MEAN | {"metric": "count"}))
    assert not book.book.row_sources()


values = st.tuples(st.sampled_from("abcd"), st.integers(0, 100), st.integers(0, 9), st.booleans())


@given(st.lists(values, max_size=30), st.randoms())
def test_the_mean_does_not_depend_on_order_and_repetition(sent: list[Any], random: Any) -> None:
    rows = [
        score(name, value / 100, START_S + 1 + at_s, row_version=number, is_deleted=int(is_deleted))
        for number, (name, value, at_s, is_deleted) in enumerate(sent)
    ]
    latest = {name: (value, is_deleted) for name, value, _, is_deleted in sent}
    numbers = [value for value, is_deleted in latest.values() if not is_deleted]
    shuffled = [*rows, *random.sample(rows, len(rows) // 2)]
    random.shuffle(shuffled)
    book = Book()
    begin(book, rule(**MEAN | {"threshold": "1000"}))
    book.pass_s(12)
    for row in shuffled:
        send(book, row)
    book.pass_s(12)
    if numbers:
        state = next(iter(book.rows.values()))
        assert state.state == "firing"
        assert state.value is not None
        assert abs(float(state.value) - sum(numbers) / 100 / len(numbers)) < 1e-9
