"""Alerts of budgets are listed with amounts in USD and ISO times, whatever their type."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from clickhouse.alert_rows import row_of_alert
from producers.notifications.alert import Alert
from producers.notifications.event_types.budget_burn_rate import BudgetBurn
from producers.notifications.event_types.budget_corrected import BudgetCorrection
from producers.notifications.event_types.budget_forecast_exceeded import BudgetForecast
from producers.notifications.event_types.budget_threshold_crossed import ThresholdCrossed
from producers.notifications.registry import EVENT_TYPES
from tests.query_api.harness import NOON_US, PROJECT, Api

HOUR_US = 3_600_000_000
COMMON: dict[str, Any] = {
    "scope": msgspec.Raw(b'{"environment":"production"}'), "period_start_us": NOON_US,
    "period_end_us": NOON_US + 24 * HOUR_US, "spent_pico": 85 * 10**9, "limit_pico": 10**11,
    "trace_id": "t1", "group": {"user_id": "ada"}, "tier": "free", "limit_name": "soft",
    "period": "day", "incomplete": True,
}  # fmt: skip
SHOWN = {
    "id": "a1", "budget_id": "b1", "name": "Users", "episode_id": "b1/1", "state": "firing",
    "severity": "warning", "scope": {"environment": "production"},
    "period_start": "2026-11-21T12:00:00.000Z", "period_end": "2026-11-22T12:00:00.000Z",
    "spent_usd": "0.085", "limit_usd": "0.1", "trace_id": "t1", "group": {"user_id": "ada"},
    "tier": "free", "limit_name": "soft", "incomplete": True,
    "created_at": "2026-11-21T12:00:00.000Z",
}  # fmt: skip


@pytest.mark.parametrize(
    ("event", "payload", "details"),
    [
        ("threshold_crossed", ThresholdCrossed(**COMMON, threshold="0.8"), {"threshold": 0.8}),
        (
            "corrected",
            BudgetCorrection(**COMMON, threshold="0.8", old_spent_pico=9 * 10**10),
            {"threshold": 0.8, "old_spent_usd": "0.09"},
        ),
        (
            "forecast_exceeded",
            BudgetForecast(
                **COMMON, forecast_pico=25 * 10**10, reached_us=NOON_US + HOUR_US,
                method="hour_of_week",
            ),
            {
                "forecast_usd": "0.25", "limit_reached_at": "2026-11-21T13:00:00.000Z",
                "method": "hour_of_week",
            },
        ),
        (
            "burn_rate",
            BudgetBurn(
                **COMMON, fast_s=300, slow_s=3_600, fast_rate=12.5, slow_rate=11.0, factor="10"
            ),
            {
                "fast_window_s": 300, "slow_window_s": 3_600, "fast_rate": 12.5, "slow_rate": 11.0,
                "factor": "10",
            },
        ),
    ],
)  # fmt: skip
async def test_an_alert_of_a_budget_is_listed_as_it_is_sent_to_webhooks(
    api: Api, event: str, payload: msgspec.Struct, details: dict[str, Any]
) -> None:
    event_type = EVENT_TYPES[f"budget.{event}"]
    alert = Alert(
        project_id=PROJECT, id="a1", event=event_type.name, rule_kind="budget", rule_id="b1",
        name="Users", labels={"user_id": "ada"}, episode="b1/1", severity="warning",
        value=Decimal("0.085"), limit=Decimal("0.1"), created_us=NOON_US,
        payload=msgspec.Raw(msgspec.json.encode(payload)),
    )  # fmt: skip
    await api.insert(row_of_alert(alert, event_type))
    answer = await api.client.get("/v1/alerts", params={"budget_id": "b1"})
    (shown,) = answer.json()["data"]
    assert shown == SHOWN | details | {"type": event_type.name}
    assert "pico" not in answer.text
    sent = msgspec.json.decode(event_type.webhook_body(alert))["data"]
    assert {name: sent[name] for name in details} == details
    assert sent["incomplete"] is True
