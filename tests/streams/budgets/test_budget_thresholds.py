"""Thresholds are compared with the exact spend of the budget's scope and period."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.budgets.limits import rules_of
from tests.streams.budgets.budget_world import (
    DAY_US,
    NOON_S,
    NOON_US,
    USD,
    Running,
    budget,
    events,
    spend,
)
from tracemill.contract import COST_MAX_PICO

BOTH = [("budget.threshold_crossed", "0.8"), ("budget.threshold_crossed", "1")]
ROW_MAX = 2**63 - 1


def settled(**fields: Any) -> Running:
    running = Running(budget(**fields))
    running.settle()
    return running


def payload(alert: Any) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(alert.payload)
    return found


@pytest.mark.parametrize(
    ("scope", "is_counted"),
    [
        ({}, True),
        ({"user_id": "u"}, True),
        ({"user_id": "u2"}, False),
        ({"model": "m", "environment": "e"}, True),
        ({"user_id": "u", "model": "m", "environment": "e"}, True),
        ({"user_id": "u", "model": "m", "environment": "test"}, False),
    ],
)
def test_only_spend_of_the_scope_counts(scope: dict[str, str], is_counted: bool) -> None:
    assert events(settled(scope=scope).add(spend(USD))) == (BOTH if is_counted else [])


@pytest.mark.parametrize(
    ("tag", "tags", "is_counted"),
    [("a", '["a"]', True), ("b", '["a","b"]', True), ("a", '["ab"]', False), ("a", "", False)],
)
def test_a_scope_with_a_tag_counts_spend_of_traces_that_have_it(
    tag: str, tags: str, is_counted: bool
) -> None:
    running = Running(budget(scope={"tags": tag}), budget("b2", scope={"tags": tag, "model": "m"}))
    running.settle()
    assert len(running.add(spend(USD, tags=tags))) == (4 if is_counted else 0)


def test_an_alert_names_the_trace_that_crossed_the_threshold() -> None:
    running = settled()
    running.add(spend(USD // 2, trace="first"))
    crossed = running.add(spend(USD, trace="second"))
    assert [payload(alert)["trace_id"] for alert in crossed] == ["second", "second"]


def test_a_late_change_counts_to_its_own_day() -> None:
    running = settled(created_us=NOON_US - 3 * DAY_US)
    running.add(spend(USD // 2))
    crossed = running.add(spend(USD, NOON_S - 86_400))
    assert {payload(alert)["period_start_us"] for alert in crossed} == {
        NOON_US - DAY_US - DAY_US // 2
    }
    assert running.add(spend(USD // 10)) == []


@given(
    limit_pico=st.integers(1, 2**62),
    share=st.decimals("0.000001", "100", places=6, allow_nan=False),
    below=st.integers(0, 2**62),
)
def test_a_threshold_is_exactly_its_decimal_share_of_the_limit(
    limit_pico: int, share: Any, below: int
) -> None:
    [rule] = rules_of(budget(limit_pico=limit_pico, thresholds=(str(share),)))
    [step] = rule.steps(limit_pico).pico
    for spent_pico in (step, step - 1, below):
        is_reached = spent_pico * 10**6 >= limit_pico * int(share * 10**6)
        assert (spent_pico >= step) == is_reached


def test_very_many_of_the_most_expensive_calls_cross_the_largest_limit() -> None:
    running = settled(limit_pico=9_000_000 * USD, thresholds=("0.5", "1"))
    calls = 0
    while len(running.alerts) < 2 or calls * COST_MAX_PICO <= ROW_MAX:
        running.add(*(spend(COST_MAX_PICO) for _ in range(40)))
        calls += 40
    assert [payload(alert)["threshold"] for alert in running.alerts] == ["0.5", "1"]
    assert all(payload(alert)["spent_pico"] <= ROW_MAX for alert in running.alerts)
    assert calls * COST_MAX_PICO > ROW_MAX
    running.start()
    running.add(spend(COST_MAX_PICO))
    assert len({alert.id for alert in running.alerts}) == 2


def test_the_id_of_an_alert_is_that_of_its_budget_period_and_threshold() -> None:
    def first_id(budget_id: str = "b", day: int = 0, **fields: Any) -> str:
        running = Running(budget(budget_id, **fields))
        running.settle()
        at_us = NOON_US + day * DAY_US
        return running.add(spend(USD, at_us // 10**6), now_us=at_us)[0].id

    ids = {
        first_id(thresholds=("0.5",)),
        first_id(thresholds=("1",)),
        first_id(thresholds=("0.5",), day=1),
        first_id("b2", thresholds=("0.5",)),
    }
    assert len(ids) == 4
    spellings = {first_id(thresholds=(each,)) for each in ("1", "1.0", "1.00")}
    assert len(spellings) == 1
    assert spellings < ids


def test_of_too_many_alerts_the_oldest_are_forgotten_and_counted() -> None:
    running = Running(budget(group_by=("user_id",)), budget_alerts_max=3)
    running.settle()
    running.add(spend(USD, user="a"), spend(USD, user="b"))
    running.tick(NOON_US + 120_000_000)
    assert running.limits["budget_alerts_max"] == 1
