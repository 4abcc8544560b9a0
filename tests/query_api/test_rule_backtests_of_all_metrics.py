"""Rules that compare with earlier windows, single rows or scores are tested on the past, too."""

from __future__ import annotations

from typing import Any

import pytest

from clickhouse.rows import ObservationRow, ScoreRow, TraceRow
from producers.alerting.registry import METRICS
from query_api.settings import QuerySettings
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api
from tests.query_api.test_rule_backtests import PATH, RULE, at, past, window

HOUR_S, DAY_S, WEEK_S = 3_600, 86_400, 604_800
PICO = 10**12


def trace(number: int, at_s: int, cost_usd: int, **fields: Any) -> TraceRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "id": f"t{number}", "start_us": NOON_US + (at_s - 5) * 10**6,
        "end_us": NOON_US + at_s * 10**6, "row_version": 1, "total_cost_pico": cost_usd * PICO,
        "environment": "production", "name": "answer", "tags": ("a", "b"),
        "metadata": '{"user_tier":"pro"}',
    }  # fmt: skip
    return TraceRow(**given | fields)


def score(number: int, at_s: int, value: float, **fields: Any) -> ScoreRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "id": f"s{number}", "event_us": NOON_US + at_s * 10**6,
        "row_version": 1, "name": "quality", "value": value, "trace_id": f"t{number}",
    }  # fmt: skip
    return ScoreRow(**given | fields)


def fired(found: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(each["fired_at"][11:16], each["value"]) for each in found["episodes"]]


async def test_a_rule_fires_when_a_model_is_twice_as_slow_as_a_week_ago(api: Api) -> None:
    week = range(-WEEK_S - HOUR_S, -WEEK_S + HOUR_S, 60)
    today = range(-HOUR_S, HOUR_S, 60)
    await api.insert(
        *(window(n, 2, model=model) for n in week for model in ("slower", "same")),
        *(window(n, 2, model="same") for n in today),
        *(window(n, 2 if n < 0 else 8, model="slower") for n in today),
        *(window(n, 8, model="new") for n in today),
    )
    rule = {"metric": "p95_latency", "compare_with": "week", "threshold": 2, "window": "10m",
            "group_by": ["model"]}  # fmt: skip
    found = await past(api, rule, 0, HOUR_S - 60)
    (episode,) = found["episodes"]
    assert episode["group"] == {"model": "slower"}
    assert "as a factor of" in episode["reason"]
    assert "12:00" <= episode["fired_at"][11:16] <= "12:10"
    assert episode["value"] == pytest.approx(4, rel=0.02)
    groups = [each["group"]["model"] for each in found["series"]]
    assert groups == ["same", "slower"], "a new model has nothing to compare with"


async def test_an_anomaly_is_found_in_the_past_by_the_median_of_the_same_hours(api: Api) -> None:
    await api.insert(
        *(
            window(n - days * DAY_S, 1, count=10 + days)
            for n in range(-HOUR_S, HOUR_S, 60)
            for days in range(1, 8)
        ),
        *(window(n, 1, count=14 if n < 1_200 else 60) for n in range(-HOUR_S, HOUR_S, 60)),
    )
    anomaly = {"season": "day", "weeks": 1, "direction": "above"}
    rule = {"metric": "count", "anomaly": anomaly, "threshold": 5, "window": "5m"}
    found = await past(api, rule, 0, HOUR_S - 300)
    (episode,) = found["episodes"]
    assert "12:20" <= episode["fired_at"][11:16] <= "12:26"
    assert "the median of the same hours at 7 earlier times" in episode["reason"]


async def test_single_traces_would_have_fired_when_they_ended(api: Api) -> None:
    await api.insert(
        trace(1, 60, 3), trace(2, 120, 2), trace(3, 180, 5), trace(4, 240, 9, environment="test"),
        trace(5, -60, 9), trace(6, 300, 9, project_id=OTHER), trace(7, 330, 9, is_deleted=1),
        trace(8, 360, 9, tags=("c",)), trace(9, 420, 9, metadata='{"user_tier":"free"}'),
    )  # fmt: skip
    filters = {"environment": ["production"], "tags": ["b", "z"], "user_tier": ["pro"]}
    rule = {"metric": "trace_cost", "threshold": "2", "filter": filters, "window": "2m"}
    found = await past(api, rule, 0, 900)
    assert fired(found) == [("12:01", "3"), ("12:03", "5")]
    assert [each["resolved_at"][11:16] for each in found["episodes"]] == ["12:03", "12:05"]
    assert [each["exemplars"] for each in found["alerts"] if each["type"] == "alert.firing"] == [
        ["t1"], ["t3"],
    ]  # fmt: skip
    assert [each["value"] for each in found["series"][0]["points"]] == ["3", "5"]
    assert found["resolution_s"] == 0


async def test_single_calls_are_tested_by_the_tokens_of_their_usage_types(api: Api) -> None:
    await api.insert(
        *(
            ObservationRow(
                project_id=PROJECT, trace_id="t", id=f"o{n}", start_us=NOON_US + n * 10**6,
                end_us=NOON_US + n * 10**6, row_version=1, type="GENERATION", model=f"m{n % 2}",
                usage={"input": n * 100, "output": 1_000}, prompt_version=n,
            )
            for n in range(10)
        )
    )  # fmt: skip
    filters = {"usage_type": ["input"], "model": ["m1"], "prompt_version": ["7", "8", "9"]}
    rule = {"metric": "call_tokens", "threshold": 600, "filter": filters}
    found = await past(api, rule, 0, 900)
    assert [each["value"] for each in found["episodes"]] == [700, 900]


async def test_scores_of_the_past_are_compared_in_their_windows(api: Api) -> None:
    await api.insert(
        *(score(n, n * 60, 0.9 if n < 10 else 0.2) for n in range(20)),
        *(score(n + 100, n * 60, 0.0, name="other") for n in range(20)),
        score(300, 0, 0.0, is_deleted=1),
    )
    rule = {"metric": "score_mean", "filter": {"score_name": "quality"}, "comparison": "<",
            "threshold": 0.5, "window": "5m", "min_count": 3}  # fmt: skip
    found = await past(api, rule, 0, 1_800)
    assert [time for time, _ in fired(found)] == ["12:12"]
    assert found["episodes"][0]["resolved_at"] is not None
    share = {"metric": "score_share", "comparison": ">=", "threshold": 1, "min_count": 0,
             "filter": {"score_name": "quality", "score_value": "< 0.5"}}  # fmt: skip
    found = await past(api, rule | share, 0, 1_800)
    assert [value for _, value in fired(found)] == [1]


async def test_scores_of_the_past_are_grouped_by_the_model_of_the_scored_call(api: Api) -> None:
    await api.insert(
        *(
            ObservationRow(
                project_id=PROJECT, trace_id="t", id=f"o{n}", start_us=NOON_US, row_version=1,
                type="GENERATION", model=f"m{n % 2}", prompt_name="support", prompt_version=n,
            )
            for n in range(10)
        ),
        *(
            score(n, n * 60, 0.2 if n % 2 else 0.9, trace_id="t", observation_id=f"o{n}")
            for n in range(10)
        ),
        score(99, 60, 0.0),
    )  # fmt: skip
    rule = {"metric": "score_mean", "comparison": "<", "threshold": 0.5, "window": "30m",
            "group_by": ["model"], "filter": {"prompt_name": "support"}}  # fmt: skip
    found = await past(api, rule, 0, 900)
    assert [each["group"] for each in found["episodes"]] == [{"model": "m1"}]
    assert [each["group"]["model"] for each in found["series"]] == ["m0", "m1"]
    rule["filter"] = {"prompt_version": ["9"]}
    found = await past(api, rule, 0, 900)
    assert [time for time, _ in fired(found)] == ["12:09"]


async def test_every_metric_can_be_tested_on_the_past(api: Api) -> None:
    for name, metric in METRICS.items():
        rule: dict[str, Any] = {"metric": name, "threshold": "1" if metric.unit == "USD" else 1}
        if name == "score_share":
            rule["filter"] = {"score_value": "true"}
        body = {"rule": RULE | rule, "from": at(0), "to": at(600)}
        answer = await api.client.post(PATH, json=body)
        assert answer.status_code == 200, (name, answer.text)


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "trace_cost", "threshold": "1"},
        {"metric": "score_mean", "threshold": 0, "comparison": "<="},
        {"compare_with": "hour", "threshold": 2, "window": "10s"},
    ],
)
async def test_rows_of_every_kind_count_towards_the_limit(api: Api, rule: dict[str, Any]) -> None:
    await api.insert(
        *(trace(n, n, 3) for n in range(10)),
        *(score(n, n, 0.0) for n in range(10)),
        *(window(n * 10 - HOUR_S, 1) for n in range(10)),
    )
    small, clients = make_api(api.store, QuerySettings(backtest_rows_max=9))
    body = {"rule": RULE | rule, "from": at(0), "to": at(900)}
    refused = await small.client.post(PATH, json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "query_too_costly")
    for client in clients:
        await client.aclose()
