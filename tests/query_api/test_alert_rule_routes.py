from typing import Any

import pytest

from producers.alerting.registry import METRICS
from producers.alerting.trial_alerts import trial_alert_id
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.alert_test import AlertTest
from tests.query_api.harness import PROJECT, Api

ASKED: dict[str, Any] = {
    "name": "slow", "metric": "avg_latency", "comparison": ">", "threshold": 5, "window": "5m",
}  # fmt: skip
PATH = "/v1/alert-rules"


async def created(api: Api, **fields: object) -> dict[str, Any]:
    answer = await api.client.post(PATH, json=ASKED | fields)
    assert answer.status_code == 201, answer.text
    rule: dict[str, Any] = answer.json()
    return rule


def held(api: Api, rule_id: str) -> AlertRule:
    return api.control.view.in_project(AlertRule, PROJECT)[rule_id]


async def test_a_rule_is_created_listed_read_and_deleted(api: Api) -> None:
    rule = await created(api, **{"for": "1m30s"})
    assert rule["id"].startswith("rule_")
    assert {name: rule[name] for name in ASKED} == ASKED
    assert (rule["for"], rule["severity"], rule["version"], rule["fault"]) == (
        "1m30s", "warning", 1, None,
    )  # fmt: skip
    path = f"{PATH}/{rule['id']}"
    assert (await api.client.get(path)).json() == rule
    assert (await api.client.get(PATH)).json() == {"data": [rule]}
    assert (await api.other.get(path)).status_code == 404
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.get(path)).status_code == 404


async def test_all_fields_are_stored_and_returned(api: Api) -> None:
    fields = {
        "name": "x", "description": "why", "enabled": False, "shadow": True, "metric": "p95_ttft",
        "filter": {"environment": ["production"], "model": ["m1", "m2"]}, "group_by": ["model"],
        "comparison": ">=", "threshold": 2.5, "recovery_threshold": 2, "window": "10m",
        "time_zone": "Europe/Berlin", "min_count": 10, "for": "2m", "keep_firing_for": "5m",
        "renotify_interval": "4h", "no_data": "keep", "severity": "critical",
        "labels": {"team": "search"}, "annotations": {"summary": "{{ group.model }} {{ value }}"},
        "inhibited_by": ["team"], "compare_with": "week", "anomaly": None,
    }  # fmt: skip
    rule = await created(api, **fields)
    assert {name: rule[name] for name in fields} == fields
    rule = await created(api, anomaly={"weeks": 2}, threshold=None)
    assert rule["threshold"] == 5
    assert rule["anomaly"] == {
        "weeks": 2, "season": "week", "direction": "above", "samples_min": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "text", "shown"),
    [
        (5, "5", 5), (5.0, "5", 5), ("0.10", "0.1", 0.1), (0.1, "0.1", 0.1), ("007", "7", 7),
        (1e-7, "0.0000001", 1e-7), ("123456789012345.123456789012",) * 2 + (123456789012345.12,),
        (0, "0", 0), ("-0", "0", 0),
    ],
)  # fmt: skip
async def test_thresholds_are_exact(api: Api, given: object, text: str, shown: float) -> None:
    rule = await created(api, threshold=given)
    assert held(api, rule["id"]).threshold == text
    assert rule["threshold"] == shown


async def test_money_is_shown_as_decimal_strings(api: Api) -> None:
    rule = await created(api, metric="cost", threshold=1000, window="1d")
    assert (rule["threshold"], rule["window"], rule["unit"]) == ("1000", "1d", "USD")
    assert held(api, rule["id"]).calendar == "day"


async def test_a_day_is_a_calendar_day_for_sums_and_24_hours_for_others(api: Api) -> None:
    sliding = await created(api, window="1d")
    assert (sliding["window"], held(api, sliding["id"]).calendar) == ("24h", "")
    hours = await created(api, metric="cost", window="24h")
    assert (hours["window"], held(api, hours["id"]).calendar) == ("24h", "")


async def test_the_threshold_of_silence_is_by_default_the_window(api: Api) -> None:
    for fields in ({"threshold": None}, {"threshold": 0}, {"threshold": 300}):
        rule = await created(api, metric="silence", **fields)
        assert (rule["threshold"], rule["window"]) == (300, "5m")


async def test_filters_accept_single_values_and_convert_environments(api: Api) -> None:
    rule = await created(api, filter={"environment": "Production", "model": ["A", "A"]})
    assert rule["filter"] == {"environment": ["production"], "model": ["A"]}


async def test_filters_and_groups_are_accepted_in_the_forms_that_clients_write(api: Api) -> None:
    given = {"prompt_version": 7, "type": "generation", "level": ["Error"], "model": ["m", 4]}
    rule = await created(api, filter=given, group_by="model")
    assert rule["filter"] == {
        "prompt_version": ["7"], "type": ["GENERATION"], "level": ["ERROR"], "model": ["m", "4"],
    }  # fmt: skip
    assert rule["group_by"] == ["model"]
    tagged = await created(api, metric="cost", filter={"tag": "beta"}, group_by=["tag"])
    assert (tagged["filter"], tagged["group_by"]) == ({"tags": ["beta"]}, ["tags"])
    for fields in ({"filter": {"tag": "a", "tags": "b"}}, {"filter": {"model": True}}):
        refused = await api.client.post(PATH, json=ASKED | {"metric": "cost"} | fields)
        assert refused.status_code == 422, refused.text


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_metric_is_refused_with_those_that_exist(refusing_api: Api) -> None:
    refused = await refusing_api.client.post(PATH, json=ASKED | {"metric": "it's"})
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert (error["field"], error["allowed"]) == ("metric", list(METRICS))
    assert error["message"].startswith('metric: "it\'s" is not allowed; allowed: cache_hit_ratio, ')


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("fields", "field", "word"),
    [
        ({"metric": "latency"}, "metric", "avg_latency"),
        ({"metric": None}, "metric", "string"),
        ({"threshold": -1}, "threshold", "0 or more"),
        ({"threshold": "-0.5"}, "threshold", "0 or more"),
        ({"threshold": "1e3"}, "threshold", "number"),
        ({"threshold": "five"}, "threshold", "number"),
        ({"threshold": True}, "threshold", "number"),
        ({"threshold": None}, "threshold", "required"),
        ({"threshold": "0.0000000000001"}, "threshold", "decimals"),
        ({"metric": "error_rate", "threshold": 10}, "threshold", "0.1"),
        ({"metric": "error_rate", "threshold": 1.01}, "threshold", "0 to 1"),
        ({"recovery_threshold": 6}, "recovery_threshold", "at most"),
        ({"comparison": "<", "recovery_threshold": 4}, "recovery_threshold", "at least"),
        ({"comparison": "=="}, "comparison", ">="),
        ({"time_zone": "Europe/Atlantis"}, "time_zone", "IANA"),
        ({"time_zone": ""}, "time_zone", "IANA"),
        ({"filter": {"user": ["u1"]}}, "filter.user", "environment"),
        ({"filter": {"user_id": ["u1"]}}, "filter.user_id", "environment"),
        ({"filter": {"environment": []}}, "filter.environment", "at least 1"),
        ({"filter": {"environment": [1.5]}}, "filter.environment.0", "string"),
        ({"filter": {"environment": ["x y/z"]}}, "filter.environment.0", "events with it"),
        ({"filter": ["environment"]}, "filter", "object"),
        ({"group_by": ["user"]}, "group_by.0", "model"),
        ({"group_by": ["model", "model"]}, "group_by", "twice"),
        ({"group_by": {"model": 1}}, "group_by", "list"),
        ({"metric": "cost", "group_by": ["user_id"], "filter": {"name": ["n"]}}, "filter",
            "cannot be combined"),
        ({"metric": "trace_cost", "group_by": ["user_id"]}, "group_by", "single rows"),
        ({"metric": "score_share", "threshold": 0.5}, "filter.score_value", "share"),
        (
            {"metric": "score_share", "threshold": 0.5, "filter": {"score_value": "> good"}},
            "filter.score_value.0",
            ">= 0.8",
        ),
        ({"metric": "score_mean", "filter": {"user_id": "m"}}, "filter.user_id", "score_name"),
        ({"metric": "score_mean", "compare_with": "day"}, "compare_with", "not stored"),
        ({"metric": "prompt_cache_hit_ratio", "threshold": 0.5, "compare_with": "day"},
            "compare_with", "not stored"),
        (
            {"metric": "cost", "group_by": ["user_id"], "compare_with": "day", "threshold": 2},
            "compare_with",
            "user_id",
        ),
        ({"window": "5s"}, "window", "10s"), ({"window": "15s"}, "window", "multiple"),
        ({"window": "25h"}, "window", "24h"), ({"window": "2d"}, "window", "24h"),
        ({"window": "five"}, "window", "5m"), ({"window": -60}, "window", "5m"),
        ({"window": 61}, "window", "multiple"), ({"window": True}, "window", "5m"),
        ({"for": "8d"}, "for", "7d"), ({"for": "x"}, "for", "5m"), ({"for": -1}, "for", "5m"),
        ({"for": 1.5}, "for", "5m"), ({"keep_firing_for": "1y"}, "keep_firing_for", "5m"),
        ({"min_count": -1}, "min_count", "0 or more"), ({"severity": "page"}, "severity", "info"),
        ({"no_data": "x"}, "no_data", "keep"), ({"labels": {"a b": "x"}}, "labels.a b", ""),
        ({"labels": {"a": 1}}, "labels.a", "string"), ({"colour": "red"}, "colour", ""),
        ({"annotations": {"a": "{{ nope }}"}}, "annotations.a", "threshold"),
        ({"annotations": {"a": "{{ value"}}, "annotations.a", "render"),
        ({"annotations": {"a": "{{ group.model }}"}}, "annotations.a", "model"),
        ({"annotations": {"a": "{% if value > 9 %}{{ nope }}{% endif %}"}}, "annotations.a",
            "nope"),
        ({"annotations": {"a": "{{ 'a' * 9999999 }}"}}, "annotations.a", "number"),
        ({"annotations": {"a": "{% for i in range(9) %}{% endfor %}"}}, "annotations.a", "call"),
        ({"annotations": {"a": "x" * 2_001}}, "annotations.a", "2000"),
        ({"compare_with": "year"}, "compare_with", "not allowed; hour, day or week"),
        ({"compare_with": "week", "anomaly": {}}, "anomaly", "compare_with"),
        ({"metric": "silence", "compare_with": "week"}, "compare_with", "earlier"),
        ({"anomaly": {"weeks": 9}}, "anomaly.weeks", "8 or less"),
        ({"name": ""}, "name", "at least 1"),
    ],
)  # fmt: skip
async def test_the_error_for_an_invalid_rule_names_its_field_and_what_is_allowed(
    refusing_api: Api, fields: dict[str, object], field: str, word: str
) -> None:
    refused = await refusing_api.client.post(PATH, json=ASKED | fields)
    assert refused.status_code == 422, refused.text
    error = refused.json()["error"]
    assert error["field"] == field, error
    assert word in error["message"], error
    assert not refusing_api.control.view[AlertRule]


async def test_a_change_keeps_the_other_fields_and_counts_versions(api: Api) -> None:
    rule = await created(api, metric="cost", window="1d", threshold="1000", labels={"a": "b"})
    path = f"{PATH}/{rule['id']}"
    changed = (await api.client.patch(path, json={"enabled": False})).json()
    assert changed == rule | {
        "enabled": False, "version": 2, "updated_at": changed["updated_at"],
    }  # fmt: skip
    changed = (await api.client.patch(path, json={"threshold": 5, "for": 60})).json()
    assert (changed["threshold"], changed["for"], changed["version"]) == ("5", "1m", 3)
    for body, field in (
        ({"threshold": -1}, "threshold"),
        ({"metric": "nope"}, "metric"),
        ({"name": None}, "name"),
        ({"id": "x"}, "id"),
        ({"group_by": ["user"]}, "group_by.0"),
    ):
        refused = await api.client.patch(path, json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert (await api.client.get(path)).json() == changed


async def test_a_rule_is_replaced_as_a_whole(api: Api) -> None:
    rule = await created(api, labels={"a": "b"}, anomaly={"weeks": 1})
    path = f"{PATH}/{rule['id']}"
    replaced = await api.client.put(path, json=ASKED | {"name": "other"})
    assert replaced.json() == rule | {
        "name": "other", "labels": {}, "anomaly": None, "version": 2,
        "updated_at": replaced.json()["updated_at"],
    }  # fmt: skip
    etag = replaced.headers["etag"]
    assert (await api.client.put(path, json=ASKED, headers={"If-Match": etag})).status_code == 200
    refused = await api.client.patch(path, json={"enabled": False}, headers={"If-Match": etag})
    assert refused.status_code == 409


async def test_metrics_are_listed_with_units_and_dimensions(api: Api) -> None:
    listed = (await api.client.get("/v1/alert-metrics")).json()["data"]
    cost = next(each for each in listed if each["name"] == "cost")
    assert cost["unit"] == "USD"
    assert {"model", "user_id", "name"} <= set(cost["dimensions"])


async def test_a_preview_renders_annotations_and_creates_nothing(api: Api) -> None:
    template = "{{ rule.name }}: {{ metric }} is {{ value|round(1) }} {{ unit }}"
    body = ASKED | {"annotations": {"summary": template}}
    answer = await api.client.post(f"{PATH}/preview", json=body)
    assert answer.json() == {"annotations": {"summary": "slow: avg_latency is 5.0 s"}}
    refused = await api.client.post(f"{PATH}/preview", json=body | {"threshold": -1})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "threshold")
    assert not api.control.view[AlertRule]


async def test_a_test_alert_is_requested_by_a_record_and_limited(api: Api) -> None:
    rule = await created(api)
    path = f"{PATH}/{rule['id']}/test-fire"
    answer = await api.client.post(path, json={"author": "ada"})
    assert answer.status_code == 202
    (test,) = api.control.view[AlertTest].values()
    assert (test.rule_id, test.author, test.event) == (rule["id"], "ada", "alert.firing")
    assert answer.json() == {
        "alert_id": trial_alert_id(test), "event": "alert.firing", "rule_id": rule["id"],
    }  # fmt: skip
    assert (await api.other.post(path, json={})).status_code == 404
    refused = await api.client.post(path, json={"event": "budget.corrected"})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "event")
    answers = [(await api.client.post(path)).status_code for _ in range(20)]
    assert answers == [202] * 19 + [409]


async def test_the_author_of_a_rule_is_the_key_of_the_last_change(api: Api) -> None:
    rule = await created(api)
    assert rule["author"] == held(api, rule["id"]).author != ""
    changed = (await api.client.patch(f"{PATH}/{rule['id']}", json={"threshold": 6})).json()
    assert changed["author"] == rule["author"]


@pytest.mark.parametrize("name", ["level", "type"])
async def test_a_filter_with_a_value_that_no_event_has_names_the_allowed_ones(
    api: Api, name: str
) -> None:
    refused = await api.client.post(PATH, json=ASKED | {"filter": {name: ["nope"]}})
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["field"] == f"filter.{name}.0"
    assert "DEFAULT" in error["allowed"] or "GENERATION" in error["allowed"]
