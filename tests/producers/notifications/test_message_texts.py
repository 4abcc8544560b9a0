"""The default texts of messages tell what happened, in units, with its trace."""

from decimal import Decimal

import msgspec
import pytest

from producers.notifications.alert import Alert
from producers.notifications.event_types.budget_burn_rate import BudgetBurn
from producers.notifications.event_types.budget_corrected import BudgetCorrection
from producers.notifications.event_types.budget_forecast_exceeded import BudgetForecast
from producers.notifications.event_types.budget_threshold_crossed import ThresholdCrossed
from producers.notifications.message import message_of
from producers.notifications.registry import EVENT_TYPES
from producers.notifications.rule_change import RuleChange

MIDNIGHT_US = 1_796_256_000_000_000  # 2026-12-03
CENT_PICO = 10**10
BUDGET = {
    "scope": msgspec.Raw(b"{}"), "period_start_us": MIDNIGHT_US, "period": "day",
    "spent_pico": 5 * CENT_PICO // 2, "limit_pico": 5 * CENT_PICO, "group": {"user_id": "bob"},
}  # fmt: skip


def text_of(event: str, payload: msgspec.Struct, public_url: str = "", **fields: object) -> str:
    given = {
        "project_id": "p", "id": "a", "event": event, "rule_kind": "k", "rule_id": "r",
        "name": "Bob total", "episode": "e", "created_us": MIDNIGHT_US,
        "payload": msgspec.Raw(msgspec.json.encode(payload)),
    }  # fmt: skip
    alert = Alert(**given | fields)  # type: ignore[arg-type]
    return message_of(
        [alert], EVENT_TYPES, message_id="m", group_id="g", group={}, firing_count=1,
        public_url=public_url,
    ).text  # fmt: skip


def test_a_budget_tells_its_spend_limit_share_and_period() -> None:
    crossed = ThresholdCrossed(**BUDGET, threshold="0.5", trace_id="t1")  # type: ignore[arg-type]

    text = text_of("budget.threshold_crossed", crossed, value=Decimal("0.025"))

    assert text == (
        "Bob total (warning): $0.025 of $0.05 spent (50 %), day since 2026-12-03 00:00 UTC, "
        "user_id=bob\nTrace: t1"
    )


def test_a_budget_tells_the_threshold_that_is_below_the_share() -> None:
    crossed = ThresholdCrossed(**BUDGET, threshold="0.2")  # type: ignore[arg-type]

    assert "spent (50 %, threshold 20 %)" in text_of("budget.threshold_crossed", crossed)


@pytest.mark.parametrize(
    ("event", "payload", "expected"),
    [
        (
            "budget.corrected",
            BudgetCorrection(**BUDGET, threshold="0.8", old_spent_pico=4 * CENT_PICO),  # type: ignore[arg-type]
            "resolved: corrected from $0.04; $0.025 of $0.05 spent (50 %, threshold 80 %)",
        ),
        (
            "budget.burn_rate",
            BudgetBurn(
                **BUDGET, fast_s=300, slow_s=3_600, fast_rate=20.0, slow_rate=14.4, factor="14"  # type: ignore[arg-type]
            ),
            "20.0 times (in 5 min) and 14.4 times (in 1 h) what the limit allows; $0.025 of $0.05",
        ),
        (
            "budget.forecast_exceeded",
            BudgetForecast(
                **BUDGET, period_end_us=MIDNIGHT_US, forecast_pico=8 * CENT_PICO,  # type: ignore[arg-type]
                reached_us=MIDNIGHT_US + 3_600_000_000,
            ),
            "$0.08 expected (160 % of the limit, which is reached 2026-12-03 01:00 UTC); $0.025 of",
        ),
    ],
)  # fmt: skip
def test_other_events_of_budgets_tell_their_amounts(
    event: str, payload: msgspec.Struct, expected: str
) -> None:
    assert expected in text_of(event, payload)


def test_the_period_of_a_budget_is_told_in_its_time_zone() -> None:
    in_berlin = BUDGET | {"period_start_us": MIDNIGHT_US - 3_600_000_000, "threshold": "0.5"}
    crossed = ThresholdCrossed(**in_berlin, time_zone="Europe/Berlin")  # type: ignore[arg-type]

    assert "day since 2026-12-03 00:00 Europe/Berlin" in text_of(
        "budget.threshold_crossed", crossed
    )


def change(metric: str, **fields: object) -> RuleChange:
    given = {
        "metric": metric, "comparison": ">", "window_start_us": MIDNIGHT_US,
        "window_end_us": MIDNIGHT_US + 300_000_000,
    }  # fmt: skip
    return RuleChange(**given | fields)  # type: ignore[arg-type]


def test_a_rule_tells_value_threshold_window_group_annotations_and_a_link() -> None:
    payload = change(
        "p95_latency", group={"model": "m1"}, exemplars=("t/1", "t2"),
        reason="p95_latency is 7.2 in 300 s: > 5",
        annotations={"summary": "Answers are slow", "description": "Call Ann", "owner": "x"},
    )  # fmt: skip

    text = text_of(
        "alert.firing", payload, "https://mill.test/", value=Decimal("7.20"), limit=Decimal(5)
    )

    assert text == (
        "Bob total (warning): firing: Latency (p95) is 7.2 s in 5 min, above 5 s, "
        "model=m1\nAnswers are slow\nCall Ann\nTrace: https://mill.test/project/p/traces/t%2F1"
    )


@pytest.mark.parametrize(
    ("metric", "value", "limit", "expected"),
    [
        ("error_rate", "0.125", "0.1", "Error rate is 12.5 % in 5 min, above 10 %"),
        ("error_rate", "0.0769230769", "0.05", "Error rate is 7.69 % in 5 min, above 5 %"),
        ("error_rate", "0.00012345", "0.0001", "Error rate is 0.0123 % in 5 min, above 0.01 %"),
        ("error_rate", "0.0500001", "0.05", "Error rate is 5.00001 % in 5 min, above 5 %"),
        ("trace_cost", "0.075", "0.05", "Cost of a trace is 0.075 USD, above 0.05 USD"),
    ],
)
def test_values_have_the_unit_of_the_metric(
    metric: str, value: str, limit: str, expected: str
) -> None:
    fields = {"value": Decimal(value), "limit": Decimal(limit)}

    assert text_of("alert.firing", change(metric), **fields).endswith(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("comparison", "state", "expected"),
    [
        (">", "firing", "above 10 %"), (">=", "firing", "at least 10 %"),
        ("<", "firing", "below 10 %"), ("<=", "firing", "at most 10 %"),
        (">", "resolved", "no longer above 10 %"),
    ],
)  # fmt: skip
def test_a_comparison_is_told_in_words(comparison: str, state: str, expected: str) -> None:
    payload = change("error_rate", comparison=comparison)
    fields = {"value": Decimal("0.1"), "limit": Decimal("0.1"), "state": state}

    text = text_of(f"alert.{state}", payload, **fields)  # type: ignore[arg-type]

    assert text.endswith(f"{state}: Error rate is 10 % in 5 min, {expected}")


def test_a_reason_is_told_as_it_was_when_the_alert_was_created() -> None:
    reason = "Cost is 12 USD in the current day, above 10 USD"

    text = text_of("alert.firing", change("cost", reason=reason), value=Decimal(12))

    assert text == f"Bob total (warning): firing: {reason}"


def test_values_that_are_compared_with_earlier_ones_have_another_unit() -> None:
    fields = {"value": Decimal("2.5"), "limit": Decimal(2)}
    doubled = change("p95_ttft", compared_as="times")

    text = text_of("alert.firing", doubled, **fields)  # type: ignore[arg-type]

    assert text.endswith("Time to first token (p95) is 2.5 times in 5 min, above 2 times")


def test_a_resolved_alert_tells_a_reason_that_is_not_the_value() -> None:
    payload = change("trace_cost", reason="resolved because the rule was deleted")

    text = text_of("alert.resolved", payload, state="resolved", value=Decimal(1))

    assert text.endswith(
        "resolved: Cost of a trace is 1 USD; resolved because the rule was deleted"
    )


def test_a_rule_without_data_says_so() -> None:
    text = text_of("alert.no_data", change("p95_latency"), state="no_data", limit=Decimal(5))

    assert "no data: Latency (p95) has no data in 5 min" in text
