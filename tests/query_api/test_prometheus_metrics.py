"""Prometheus reads totals of a project, whatever process answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from prometheus_client import openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families

from clickhouse.rows import AlertStateRow, BudgetStateRow, WindowRow
from producers.control.keys import new_api_key
from query_api.settings import QuerySettings
from tests.clickhouse.levels_for_tests import DAY_S, insert, recompute, window
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, make_api, observation
from tracemill.clock import now_us

NOON_S = NOON_US // 1_000_000


def call(at_s: int, latencies_s: list[float], **fields: Any) -> WindowRow:
    given = {"project_id": PROJECT, "model": "m1", **fields}
    return window(at_s, [1e6 * each for each in latencies_s], **given)


class Samples(dict[tuple[str, frozenset[tuple[str, str]]], float]):
    """Values by name and labels."""

    def of(self, name: str, **labels: str) -> float:
        return self[name, frozenset(labels.items())]

    def named(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a name by the values of labels, which are sorted by their names."""
        return {
            tuple(value for _, value in sorted(labels)): found
            for (each, labels), found in self.items()
            if each == name
        }


def samples(answer: httpx.Response) -> Samples:
    assert answer.status_code == 200, answer.text
    return Samples(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }
    )


async def test_counters_are_the_totals_of_all_time(api: Api) -> None:
    await insert(
        api.store,
        [
            call(NOON_S - 40 * DAY_S, [0.2, 0.7, 7.0], error_count=1, total_cost_pico=10**12,
                usage={"input": 2**62, "output": 5}),
            call(NOON_S - 3 * DAY_S, [3.0], total_cost_pico=5 * 10**11, usage={"output": 1},
                unpriced_count=2),
            call(NOON_S, [100.0], model="m2"),
            call(NOON_S, [1.0] * 9, model=""),
            call(NOON_S, [1.0], project_id=OTHER, model="secret"),
        ],
    )  # fmt: skip
    before = samples(await api.client.get("/metrics"))
    await recompute(api.store)
    await insert(api.store, [call(now_us() // 1_000_000, [0.3], usage={"output": 2})])
    fresh, clients = make_api(api.store)
    found = samples(await fresh.client.get("/metrics"))
    assert before.of("llm_requests_total", model="m1", status="success") == 3
    assert found.of("llm_requests_total", model="m1", status="success") == 4
    assert found.of("llm_requests_total", model="m1", status="error") == 1
    assert found.of("llm_cost_usd_total", model="m1") == 1.5
    assert found.of("llm_unpriced_requests_total", model="m1") == 2
    assert found.of("llm_tokens_total", model="m1", type="input") == 2**62
    assert found.of("llm_tokens_total", model="m1", type="output") == 8
    assert [
        found.of("llm_latency_seconds_bucket", model="m1", le=le)
        for le in ("0.5", "1.0", "2.0", "5.0", "10.0", "30.0", "60.0", "+Inf")
    ] == [2, 3, 3, 4, 5, 5, 5, 5]
    assert found.of("llm_latency_seconds_count", model="m1") == 5
    assert found.of("llm_latency_seconds_sum", model="m1") == pytest.approx(11.2, rel=0.011)
    assert found.of("llm_latency_seconds_bucket", model="m2", le="60.0") == 0
    assert found.of("llm_latency_seconds_bucket", model="m2", le="+Inf") == 1
    assert {labels[0] for labels in found.named("llm_requests_total")} == {"m1", "m2"}
    for client in clients:
        await client.aclose()


async def test_other_models_and_types_of_tokens_are_counted_together(api: Api) -> None:
    await insert(
        api.store,
        [
            call(NOON_S, [1.0] * (9 - number), model=f"m{number}", usage={f"t{number}": 9 - number})
            for number in range(5)
        ],
    )
    small, clients = make_api(
        api.store, QuerySettings(metrics_models_max=2, metrics_token_types_max=1)
    )
    found = samples(await small.client.get("/metrics"))
    requests = found.named("llm_requests_total")
    assert {labels: value for labels, value in requests.items() if labels[1] == "success"} == {
        ("m0", "success"): 9, ("m1", "success"): 8, ("other", "success"): 18,
    }  # fmt: skip
    tokens = found.named("llm_tokens_total")
    assert tokens == {("m0", "t0"): 9, ("m1", "other"): 8, ("other", "other"): 18}
    for client in clients:
        await client.aclose()


async def test_calls_that_run_are_active_and_recent_ones_are_exemplars(api: Api) -> None:
    at_us = now_us() - 60_000_000
    await insert(api.store, [call(at_us // 1_000_000, [3.0], model="m1")])
    await api.insert(
        observation("t-run", "o1", at_us, model="m1"),
        observation("t-ended", "o2", at_us, model="m1"),
        observation("t-ended", "o2", at_us, model="m1", end_us=at_us + 3_000_000, row_version=2),
        observation("t-old", "o3", at_us - 3_600_000_000, model="m1"),
        observation("t-new", "o4", at_us, model="new"),
    )
    answer = await api.client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"] == openmetrics.exposition.CONTENT_TYPE_LATEST
    families = {each.name: each.samples for each in open_families(answer.text)}
    active = {each.labels["model"]: each.value for each in families["llm_active_requests"]}
    assert active == {"m1": 1, "new": 1}
    exemplars = {
        (each.labels["le"], each.exemplar.labels["trace_id"], each.exemplar.value)
        for each in families["llm_latency_seconds"]
        if each.exemplar
    }
    assert exemplars == {("5.0", "t-ended", 3.0)}
    assert "t-ended" not in (await api.client.get("/metrics")).text


async def test_caches_budgets_and_alerts_are_gauges(api: Api) -> None:
    budget = {
        "name": "daily", "scope": {}, "period": "day", "limit_usd": "2", "thresholds": [1.0],
    }  # fmt: skip
    created = (await api.client.post("/v1/budgets", json=budget)).json()
    unspent = {"name": "unspent", "limits": [{"period": "month", "limit_usd": "9"}]}
    other = (await api.client.post("/v1/budgets", json=unspent)).json()
    rule = {
        "name": "slow", "metric": "avg_latency", "comparison": ">", "threshold": 5, "window": "1m",
    }  # fmt: skip
    made = await api.client.post("/v1/alert-rules", json=rule)
    assert made.status_code == 201, made.text
    now, common = now_us(), {"project_id": PROJECT, "row_version": 1, "updated_us": now_us()}
    await insert(
        api.store,
        [
            call(now // 1_000_000 - 120, [1.0], cache_exact_count=1, cache_miss_count=3,
                usage={"input": 60, "input_cache_read": 20})
        ],
    )  # fmt: skip
    await api.insert(
        BudgetStateRow(
            budget_id=created["id"], limit_name="", period="day", period_start_us=now - 10**6,
            period_end_us=now + 10**9, group="{}", spent_pico=5 * 10**11, limit_pico=2 * 10**12,
            **common,
        ),
        BudgetStateRow(
            budget_id=created["id"], limit_name="", period="day", period_start_us=now - 10**11,
            period_end_us=now - 10**6, group="{}", spent_pico=10**12, limit_pico=2 * 10**12,
            **common,
        ),
        AlertStateRow(
            rule_id=made.json()["id"], group='{"model":"m1"}', state="firing",
            severity="critical", **common,
        ),
    )  # fmt: skip
    found = samples(await api.client.get("/metrics"))
    assert found.of("llm_cache_hit_ratio", type="prompt") == 0.25
    assert found.of("llm_cache_hit_ratio", type="exact") == 0.25
    assert found.of("llm_cache_hit_ratio", type="semantic") == 0
    labels = ("daily", created["id"], "{}", "", "day")
    without_spend = ("unspent", other["id"], "{}", "month", "month")
    assert found.named("llm_budget_spend_usd") == {labels: 0.5, without_spend: 0}
    assert found.named("llm_budget_limit_usd") == {labels: 2, without_spend: 9}
    rule_id = made.json()["id"]
    assert found.of("llm_alerts_firing", rule_id=rule_id, rule="slow", severity="critical") == 1


async def test_the_admin_key_gets_all_projects(api: Api) -> None:
    await insert(
        api.store, [call(NOON_S, [1.0]), call(NOON_S, [1.0], project_id=OTHER, model="m2")]
    )
    found = samples(await api.admin.get("/metrics"))
    assert found.of("llm_requests_total", project=PROJECT, model="m1", status="success") == 1
    assert found.of("llm_requests_total", project=OTHER, model="m2", status="success") == 1


async def test_a_credential_of_its_own_scope_is_sufficient(api: Api) -> None:
    key = new_api_key(
        key_id="k", project_id=PROJECT, public_key="pk-metrics", secret="sk-metrics",
        created_us=NOON_US, scopes=("metrics",),
    )  # fmt: skip
    api.control.keep(key)
    auth = ("pk-metrics", "sk-metrics")
    assert (await api.anonymous.get("/metrics", auth=auth)).status_code == 200
    assert (await api.anonymous.get("/v1/windows", auth=auth)).status_code == 403
    assert (await api.anonymous.get("/metrics")).status_code == 401
