from datetime import UTC, datetime

import pytest

from producers.alerting.silences import compiled, is_active, is_silenced, labels_of, matches
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.silence import Matcher, Recurring, Silence

RULE = AlertRule(
    id="rule_1", project_id="acme", name="slow", metric="avg_latency", threshold="5", window_s=60,
    labels={"team": "search", "severity": "none"}, severity="critical", created_us=0,
)  # fmt: skip


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def silence(**fields: object) -> Silence:
    given = {"matchers": [{"name": "team", "value": "search"}], "starts_us": us("2026-11-21")}
    return Silence.model_validate(
        {"id": "sil_1", "project_id": "acme", "author": "ada", "created_us": 0} | given | fields
    )


def test_labels_are_those_of_the_rule_its_group_and_its_own_fields() -> None:
    labels = labels_of(RULE, {"model": "m1", "team": "ops"})
    assert labels == {
        "team": "ops", "model": "m1", "rule_id": "rule_1", "rule_name": "slow",
        "metric": "avg_latency", "severity": "critical",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("=", "search", True), ("=", "sea", False), ("!=", "search", False), ("!=", "x", True),
        ("=~", "sea.*", True), ("=~", "sea", False), ("=~", "x)|(search", False),
        ("=~", "x|search", True), ("=~", "a|search|b", True), ("=~", "SEARCH", False),
        ("!~", "sea.*", False), ("!~", "x", True),
    ],
)  # fmt: skip
def test_matchers_compare_whole_values(op: str, value: str, expected: bool) -> None:
    if value == "x)|(search":
        with pytest.raises(ValueError, match="RE2"):
            compiled(value)
        return
    matcher = Matcher.model_validate({"name": "team", "op": op, "value": value})
    assert matches([matcher], {"team": "search"}) is expected


def test_a_label_that_does_not_exist_is_empty() -> None:
    assert matches([Matcher(name="nothing", value="")], {})
    assert matches([Matcher(name="nothing", op="!=", value="a")], {})


def test_a_silence_is_active_from_its_start_to_before_its_end() -> None:
    given = silence(ends_us=us("2026-11-22"))
    assert [is_active(given, us("2026-11-21") + each) for each in (-1, 0)] == [False, True]
    assert [is_active(given, us("2026-11-22") + each) for each in (-1, 0)] == [True, False]
    assert is_silenced(given, {"team": "search"}, us("2026-11-21"))
    assert not is_silenced(given, {"team": "ops"}, us("2026-11-21"))


def test_recurring_hours_are_those_of_the_time_zone_and_may_pass_midnight() -> None:
    nights = silence(
        recurring=Recurring(
            days=("fri",), start_minute=22 * 60, end_minute=6 * 60, time_zone="Europe/Berlin"
        )
    )
    # 2026-11-27 is a Friday; Berlin is one hour ahead of UTC.
    active = {
        "2026-11-27T20:59": False, "2026-11-27T21:00": True, "2026-11-28T04:59": True,
        "2026-11-28T05:00": False, "2026-11-28T21:30": False, "2026-11-27T04:00": False,
    }  # fmt: skip
    assert {at: is_active(nights, us(at)) for at in active} == active


def test_recurring_whole_days_have_no_gap() -> None:
    weekends = silence(recurring=Recurring(days=("sat", "sun")))
    assert [is_active(weekends, us(f"2026-11-{day}T23:59")) for day in range(23, 30)] == [
        *[False] * 5, True, True,
    ]  # fmt: skip
