"""Rules fire, hold, recover and stay quiet as their records say."""

import re
from decimal import Decimal

import pytest

from producers.control.kinds.acknowledgement import Acknowledgement
from producers.control.kinds.silence import Matcher, Silence
from streams.core.alerting.rules.notices import reason_of
from tests.streams.alerting.rules.rule_book import SECOND_US, START_S, Book, rule


@pytest.fixture
def book() -> Book:
    return Book()


def test_an_average_is_compared_when_its_window_ends(book: Book) -> None:
    book.put(rule())
    book.send(latency_s=2)
    book.send(latency_s=10)
    assert not book.alerts
    book.pass_s(11)
    assert book.events == ["firing"]
    alert, change = book.alerts[0], book.change()
    assert abs(alert.value - 6) < Decimal("0.1")
    assert alert.limit == 5
    assert (change.window_start_us, change.window_end_us) == (
        START_S * SECOND_US,
        (START_S + 10) * SECOND_US,
    )
    book.pass_s(20)
    assert book.events == ["firing", "resolved"]
    assert book.alerts[0].episode == book.alerts[1].episode
    assert book.alerts[0].id != book.alerts[1].id


def test_a_value_that_can_only_grow_fires_at_once(book: Book) -> None:
    book.put(rule(metric="cost", threshold="0.000000000100", comparison=">=", window_s=60))
    book.send(cost_pico=99)
    assert not book.alerts
    book.send(cost_pico=1)
    assert book.events == ["firing"]
    assert book.alerts[0].value == Decimal("0.0000000001")


def test_a_sliding_window_forgets_what_leaves_it(book: Book) -> None:
    book.put(rule(metric="count", threshold="3", comparison=">=", window_s=20))
    for _ in range(4):
        book.send()
        book.pass_s(10)
        assert not book.alerts
    book.send(count=2)
    assert book.events == ["firing"]
    book.pass_s(40)
    assert book.events == ["firing", "resolved"]


def test_an_error_rate_needs_its_minimum_count(book: Book) -> None:
    book.put(rule(metric="error_rate", threshold="0.1", min_count=10))
    book.send(count=5, errors=5)
    book.pass_s(20)
    assert not book.alerts
    book.send(count=20, errors=3)
    book.pass_s(15)
    assert book.events[:1] == ["firing"]
    assert book.alerts[0].value == Decimal("0.15")


def test_each_group_has_its_own_state(book: Book) -> None:
    book.put(rule(metric="count", threshold="2", comparison=">=", group_by=("model",)))
    book.send(model="a")
    book.send(model="b", count=2)
    assert book.events == ["firing"]
    assert book.change().group == {"model": "b"}
    book.send(model="a")
    assert book.events == ["firing", "firing"]
    assert len({alert.episode for alert in book.alerts}) == 2
    assert book.states() == {'{"model":"a"}': "firing", '{"model":"b"}': "firing"}


def test_a_filter_selects_one_of_several_values(book: Book) -> None:
    book.put(
        rule(
            metric="count",
            threshold="2",
            comparison=">=",
            filter={"model": ("a", "b"), "environment": ("production",)},
        )
    )
    book.send(model="a", count=5)
    book.send(model="c", environment="production", count=5)
    book.send(model="a", environment="production")
    assert not book.alerts
    book.send(model="b", environment="production")
    assert book.events == ["firing"]


def test_a_condition_must_hold_for_its_duration(book: Book) -> None:
    book.put(rule(metric="count", threshold="1", comparison=">=", window_s=60, for_s=30))
    book.send()
    book.pass_s(20)
    assert book.states() == {"{}": "pending"}
    assert not book.alerts
    book.send()
    book.pass_s(15)
    assert book.events == ["firing"]


def test_a_condition_that_ends_before_its_duration_fires_nothing(book: Book) -> None:
    book.put(rule(metric="count", threshold="1", comparison=">=", window_s=10, for_s=60))
    book.send()
    book.pass_s(120)
    assert not book.alerts
    assert book.states() == {"{}": "inactive"}


def test_a_firing_group_recovers_below_the_recovery_threshold_only(book: Book) -> None:
    book.put(
        rule(metric="count", threshold="10", recovery_threshold="5", comparison=">", window_s=10)
    )
    book.send(count=11)
    for _ in range(3):
        book.pass_s(10)
        book.send(count=7)
    book.pass_s(5)
    assert book.events == ["firing"]
    book.pass_s(20)
    assert book.events == ["firing", "resolved"]


def test_a_group_keeps_firing_for_its_duration(book: Book) -> None:
    book.put(
        rule(metric="count", threshold="1", comparison=">=", window_s=10, keep_firing_for_s=60)
    )
    book.send()
    book.pass_s(30)
    assert book.states() == {"{}": "recovering"}
    book.send()
    assert book.states() == {"{}": "firing"}
    book.pass_s(100)
    assert book.events == ["firing", "resolved"]


def test_a_firing_group_is_announced_again_at_its_interval(book: Book) -> None:
    book.put(
        rule(metric="count", threshold="1", comparison=">=", window_s=600, renotify_interval_s=60)
    )
    book.send()
    book.pass_s(150)
    assert book.events == ["firing"] * 3
    assert len({alert.id for alert in book.alerts}) == 3
    assert len({alert.episode for alert in book.alerts}) == 1
    assert [book.change(index).sequence for index in range(3)] == [1, 2, 3]


def test_an_acknowledged_episode_is_not_announced_again(book: Book) -> None:
    book.put(
        rule(metric="count", threshold="1", comparison=">=", window_s=600, renotify_interval_s=60)
    )
    book.send()
    book.put(
        Acknowledgement(
            id="a1",
            project_id="p1",
            episode_id=book.alerts[0].episode,
            author="ada",
            created_us=book.now_us,
        )
    )
    book.pass_s(150)
    assert book.events == ["firing"]
    assert [row.acknowledged_by for row in book.rows.values()] == ["ada"]
    book.pass_s(600)
    assert book.events == ["firing", "resolved"]
    assert book.change().delivered


def test_silence_fires_without_any_event(book: Book) -> None:
    book.put(rule(metric="silence", threshold="300", comparison=">=", window_s=300))
    book.send(trace_id="the last one")
    book.pass_s(299)
    assert not book.alerts
    book.pass_s(2)
    assert book.events == ["firing"]
    assert book.change().exemplars == ("the last one",)
    assert re.fullmatch(
        r"Time without observations is 30\d(\.\d{1,3})? s, at least 300 s", book.change().reason
    )
    book.send()
    book.pass_s(1)
    assert book.events == ["firing", "resolved"]


def test_silence_since_before_the_memory_is_a_lower_bound(book: Book) -> None:
    book.put(rule(metric="silence", threshold="300", comparison=">=", window_s=300))
    book.pass_s(302)
    assert book.events == ["firing"]
    assert book.change().reason.startswith("Time without observations is ")
    assert " s or more, at least 300 s" in book.change().reason
    assert book.change().incomplete


def test_reasons_show_six_digits_of_a_value_and_all_of_money() -> None:
    slow, costly = rule(metric="avg_latency", threshold="5"), rule(metric="cost", threshold="1")
    long = Decimal("7.063673123456")
    assert reason_of(slow, "alert.firing", long) == (
        "Latency (mean) is 7.06367 s in 10 s, above 5 s"
    )
    assert reason_of(costly, "alert.firing", long) == (f"Cost is {long} USD in 10 s, above 1 USD")
    assert reason_of(slow, "alert.firing", Decimal(7_000_000)).startswith(
        "Latency (mean) is 7000000 s"
    )
    assert reason_of(slow, "alert.firing", Decimal(0)).startswith("Latency (mean) is 0 s ")


def test_a_group_without_data_is_reported_if_the_rule_says_so(book: Book) -> None:
    book.put(rule(no_data="alert"))
    book.send(latency_s=1)
    book.pass_s(30)
    assert book.events == ["no_data"]
    book.send(latency_s=1)
    book.pass_s(11)
    assert book.events == ["no_data", "resolved"]


def test_a_group_without_data_keeps_its_state_if_the_rule_says_so(book: Book) -> None:
    book.put(rule(no_data="keep"))
    book.send(latency_s=9)
    book.pass_s(60)
    assert book.events == ["firing"]
    book.send(latency_s=1)
    book.pass_s(11)
    assert book.events == ["firing", "resolved"]


def test_too_little_traffic_fires_below_a_threshold(book: Book) -> None:
    book.put(rule(metric="rate", threshold="0.5", comparison="<", window_s=10))
    book.send(count=10)
    book.pass_s(11)
    assert not book.alerts
    book.pass_s(10)
    assert book.events == ["firing"]


def test_a_silenced_alert_is_recorded_and_delivered_when_the_silence_ends(book: Book) -> None:
    silence = Silence(
        id="s1",
        project_id="p1",
        matchers=(Matcher(name="model", value="a"),),
        author="ada",
        starts_us=book.now_us,
        ends_us=book.now_us + 60 * SECOND_US,
        created_us=book.now_us,
    )
    book.put(silence)
    book.put(
        rule(metric="count", threshold="1", comparison=">=", window_s=600, group_by=("model",))
    )
    book.send(model="a")
    assert book.events == ["firing"]
    assert not book.change().delivered
    assert book.change().not_delivered_reason == "silenced"
    assert [row.silenced for row in book.rows.values()] == [1]
    book.pass_s(61)
    assert book.events == ["firing", "firing"]
    assert book.change().delivered


def test_the_end_of_an_episode_is_delivered_only_if_its_beginning_was(book: Book) -> None:
    book.put(rule(metric="count", threshold="1", comparison=">=", shadow=True))
    book.send()
    book.pass_s(30)
    assert book.events == ["firing", "resolved"]
    assert [book.change(index).delivered for index in range(2)] == [False, False]
    assert book.change().not_delivered_reason == "shadow"


def test_a_more_severe_alert_inhibits_another_one_with_the_same_labels(book: Book) -> None:
    common = {"comparison": ">=", "window_s": 600, "group_by": ("model",)}
    book.put(
        rule(metric="count", threshold="1", severity="critical", id="rule_0", **common),
        rule(metric="tokens", threshold="1", inhibited_by=("model",), **common),
    )
    book.send(model="a")
    assert [book.change(index).not_delivered_reason for index in range(2)] == ["", "inhibited"]


def test_a_calendar_window_begins_with_the_day_of_its_time_zone(book: Book) -> None:
    book.put(
        rule(
            metric="cost",
            threshold="0.000000000010",
            comparison=">=",
            window_s=86_400,
            calendar="day",
            time_zone="Asia/Tokyo",  # noon in UTC is 21:00 there
        )
    )
    book.send(cost_pico=6)
    book.now_s += 4 * 3_600
    book.send(cost_pico=6)
    assert not book.alerts
    book.send(cost_pico=6)
    assert book.events == ["firing"]
    book.now_s += 23 * 3_600
    book.pass_s(1)
    assert book.events == ["firing", "resolved"]


def test_alerts_are_incomplete_while_events_wait_for_the_store() -> None:
    book = Book()
    book.put(rule(metric="count", threshold="5", window_s=60, for_s=0))
    book.book.events_deferred(is_partial=True)
    book.put(rule(id="rule_2", project_id="p1", metric="count", threshold="500", window_s=60))
    book.send(count=10)
    assert (book.events, book.change().incomplete) == (["firing"], True)
    assert [row.incomplete for row in book.rows.values() if row.rule_id == "rule_1"] == [1]
    book.book.events_deferred(is_partial=False)
    book.pass_s(15)
    assert [row.incomplete for row in book.rows.values() if row.rule_id == "rule_1"] == [0]
    book.pass_s(60)
    assert (book.events, book.change().incomplete) == (["firing", "resolved"], False)
