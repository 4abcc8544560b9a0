"""Rules on spend, their filters and limits, and rules that cannot be evaluated."""

from decimal import Decimal

import pytest

from producers.control.record import Tombstone
from streams.alerting.settings import AlertingSettings
from streams.core.alerting.rules.rule import Rule
from streams.core.dimensions.sources import SPEND_DIMENSIONS
from streams.core.rollups.deltas import Delta, WindowDelta, new_spend
from tests.streams.alerting.rules.rule_book import Book, rule


@pytest.fixture
def book() -> Book:
    return Book()


def spent(book: Book, session_id: str, cost_pico: int, **fields: object) -> None:
    """Send a change of spend, and of the window that contains it."""
    start_s = int(book.now_s) // 10 * 10
    values = {"session_id": session_id} | fields
    key = (start_s, *(values.get(each.name, each.default) for each in SPEND_DIMENSIONS))
    change = new_spend(key, "t1", (cost_pico, 1, 0, 0, 0, 0, 0))
    book.source_offset += 1
    window = WindowDelta(start_s, "default", "m", "n", 1, 0, cost_pico, {}, {})
    book.apply(Delta("p1", 0, book.source_offset, [window], [change]))


def test_the_cost_of_each_session_has_its_own_state(book: Book) -> None:
    book.put(rule(metric="session_cost", threshold="0.000000000010", window_s=3_600))
    spent(book, "s1", 6)
    spent(book, "s2", 6)
    assert not book.alerts
    spent(book, "s1", 6)
    assert book.events == ["firing"]
    assert book.change().group == {"session_id": "s1"}
    assert book.change().exemplars == ("t1",)


def test_a_filter_on_tags_selects_traces_that_have_one_of_them(book: Book) -> None:
    book.put(
        rule(
            metric="cost",
            threshold="0.000000000010",
            comparison=">=",
            window_s=3_600,
            filter={"tags": ("slow", "new")},
        )
    )
    spent(book, "s1", 100, tags='["fast","slower"]')
    assert not book.alerts
    spent(book, "s1", 6, tags='["fast","slow"]')
    spent(book, "s1", 6, tags='["new"]')
    assert book.events == ["firing"]
    assert book.alerts[0].value == Decimal("0.000000000012")


def test_error_types_and_usage_types_are_selected_by_filters(book: Book) -> None:
    book.put(
        rule(
            id="rule_0",
            metric="error_count",
            threshold="2",
            comparison=">=",
            filter={"error_type": ("timeout",)},
        ),
        rule(metric="tokens", threshold="5", filter={"usage_type": ("output",)}),
    )
    book.send(errors=5, error_types={"timeout": 1, "other": 4}, usage={"input": 9, "output": 5})
    assert not book.alerts
    book.send(errors=1, error_types={"timeout": 1}, usage={"output": 1})
    assert [alert.rule_id for alert in book.alerts] == ["rule_0", "rule_1"]


def test_the_hit_ratio_of_prompt_caches_counts_input_tokens_in_any_spelling(book: Book) -> None:
    book.put(rule(metric="prompt_cache_hit_ratio", threshold="0.5", comparison="<"))
    book.send(usage={"input": 10, "cache_read_input_tokens": 90, "output": 500})
    book.pass_s(11)
    assert not book.alerts
    book.send(usage={"input": 75, "input_cached_tokens": 25})
    book.pass_s(11)
    assert book.events[:1] == ["firing"]
    assert book.alerts[0].value == Decimal("0.25")


def test_exemplars_are_the_last_traces_that_contributed(book: Book) -> None:
    book.put(rule(metric="error_count", threshold="12", comparison=">="))
    for number in range(12):
        book.send(errors=1, trace_id=f"t{number}")
        book.send(trace_id="fine")
    assert book.change().exemplars == tuple(f"t{number}" for number in range(11, 1, -1))


def test_exemplars_of_calls_that_arrive_together_are_those_that_failed(book: Book) -> None:
    book.put(rule(metric="error_rate", threshold="0.2"))
    for number in range(12):
        book.send(errors=number % 4 == 0, trace_id=f"t{number}", collect=False)
    book.pass_s(11)
    assert book.change(0).exemplars == ("t8", "t4", "t0")


def test_exemplars_are_of_the_window_and_remain_when_the_alert_is_resolved(book: Book) -> None:
    book.put(rule(metric="error_rate", threshold="0.2", window_s=60))
    book.send(errors=1, trace_id="before")
    book.pass_s(120)
    book.send(errors=1, trace_id="now")
    book.pass_s(90)
    assert book.events == ["firing", "resolved", "firing", "resolved"]
    assert [book.change(index).exemplars for index in range(4)] == [
        ("before",), ("before",), ("now",), ("now",),
    ]  # fmt: skip


def test_groups_above_the_limit_are_counted_and_make_the_rule_incomplete() -> None:
    book = Book(AlertingSettings(rule_groups_max=2))
    book.put(rule(metric="count", threshold="1", comparison=">=", group_by=("model",)))
    for model in ("a", "b", "c"):
        book.send(model=model)
    book.pass_s(11)
    assert {book.change(index).group["model"] for index in range(2)} == {"a", "b"}
    assert book.reached == {"rule_groups_max": 1}
    book.send(model="a")
    book.pass_s(11)
    assert any(row.incomplete for row in book.rows.values())


def test_panes_above_the_limit_are_counted_and_make_the_rule_incomplete() -> None:
    book = Book(AlertingSettings(rule_panes_max=2))
    book.put(rule(metric="count", threshold="100", window_s=600))
    for _ in range(3):
        book.send()
        book.pass_s(10)
    assert book.reached == {"rule_panes_max": 1}
    assert [row.incomplete for row in book.rows.values()] == [1]
    book.pass_s(1_000)
    book.put(Tombstone(kind="alert_rule", id="rule_1"))
    assert book.book._limits.quota.count == 0


@pytest.mark.parametrize("group_by", [(), ("model",)])
def test_a_rule_that_raises_is_in_error_until_it_changes(
    book: Book, monkeypatch: pytest.MonkeyPatch, group_by: tuple[str, ...]
) -> None:
    fields = {"metric": "count", "threshold": "1", "comparison": ">=", "group_by": group_by}
    book.put(rule(**fields), rule(id="rule_2", metric="tokens", threshold="1"))
    book.send()
    assert book.events == ["firing"]

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    with monkeypatch.context() as broken:
        broken.setattr(Rule, "due_groups", fail)
        book.pass_s(11)
    assert {row.rule_id: row.state for row in book.rows.values()} == {
        "rule_1": "error",
        "rule_2": "error",
    }
    assert {row.reason for row in book.rows.values()} == {"RuntimeError: broken"}
    assert book.events == ["firing", "resolved"]
    book.put(rule(**fields, version=2))
    book.send()
    assert book.events == ["firing", "resolved", "firing"]
    (row,) = (row for row in book.rows.values() if row.rule_id == "rule_1")
    assert row.state == "firing"
