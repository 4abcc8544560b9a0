"""Versions of a prompt are compared by the calls and scores in the store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.query_api.harness import NOON_US, OTHER, Api, observation, opened, score

COMPARE = "/v1/prompts/f%2Fgreet/compare"
RANGE = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}


async def with_prompts(api: Api) -> None:
    for label in ("a", "b"):
        body = {"name": "f/greet", "prompt": label, "labels": [label]}
        assert (await api.client.post("/api/public/v2/prompts", json=body)).status_code == 201


async def filled(api: Api) -> None:
    await with_prompts(api)
    rows: list[Any] = []
    for version in (1, 2):
        for number in range(20):
            name = f"{version}-{number}"
            start_us = NOON_US + number
            rows.append(
                observation(
                    f"t{name}", f"o{name}", start_us, prompt_name="f/greet", prompt_version=version,
                    type="GENERATION", end_us=start_us + (1_000 * version + number) * 1_000,
                    usage={"input": 100 * version, "output": 10, "total": 100 * version + 10},
                    total_cost_pico=10**9 * version + number, cost_source="computed",
                    level="ERROR" if number < version else "DEFAULT",
                )
            )  # fmt: skip
            rows.append(
                score(
                    f"s{name}", name="helpful", data_type="BOOLEAN", trace_id=f"t{name}",
                    observation_id="" if number % 2 else f"o{name}",
                    value=float(number < 8 * version),
                )
            )  # fmt: skip
            rows.append(score(f"q{name}", name="quality", trace_id=f"t{name}", value=0.1 * version))
    rows += [
        observation("both", "x", NOON_US, prompt_name="f/greet", prompt_version=1),
        observation("both", "y", NOON_US, prompt_name="f/greet", prompt_version=2),
        score("unclear", name="quality", trace_id="both", value=99.0),
        score("text", name="words", data_type="CATEGORICAL", trace_id="t1-1", string_value="x"),
        observation("t9", "o9", NOON_US, prompt_name="other", prompt_version=1),
        observation(
            "t1-1", "o", NOON_US, project_id=OTHER, prompt_name="f/greet", prompt_version=1
        ),
    ]
    await api.insert(*rows)


async def test_a_comparison_has_the_statistics_and_tests_of_each_version(api: Api) -> None:
    await filled(api)
    response = await api.client.get(COMPARE, params=RANGE | {"labels": "a,b"})
    assert response.status_code == 200, response.text
    first, second = response.json()["data"]
    assert [(x["label"], x["version"], x["calls"], x["errors"]) for x in (first, second)] == [
        ("a", 1, 21, 1), ("b", 2, 21, 2),
    ]  # fmt: skip
    assert (first["cost_usd"]["mean"], first["cost_usd"]["total"], first["cost_usd"]["count"]) == (
        "0.00100000001", "0.02000000019", 20,
    )  # fmt: skip
    low, high = map(float, first["cost_usd"]["ci95"])
    assert low < 0.00100000001 < high
    assert {key: first["latency_ms"][key] for key in ("mean", "p50", "count")} == {
        "mean": 1009.5, "p50": 1009, "count": 20,
    }  # fmt: skip
    assert (first["tokens"]["input"], second["tokens"]["input"]) == (2_000, 4_000)
    assert (first["tokens"]["output"], second["tokens"]["output"]) == (200, 200)
    assert set(first["scores"]) == {"helpful", "quality"}
    assert (first["scores"]["helpful"]["mean"], first["scores"]["helpful"]["count"]) == (0.4, 20)
    assert second["scores"]["helpful"]["mean"] == 0.8
    assert first["scores"]["quality"]["count"] == 20, "a trace with both versions counts for none"
    tests = {each["metric"]: each for each in response.json()["tests"]}
    assert {name: each["test"] for name, each in tests.items()} == {
        "cost_usd": "welch_t", "latency_ms": "welch_t", "error_rate": "two_proportion_z",
        "score:helpful": "two_proportion_z", "score:quality": "welch_t",
    }  # fmt: skip
    assert tests["latency_ms"]["difference"] == pytest.approx(1_000)
    assert tests["latency_ms"]["significant"]
    assert tests["cost_usd"]["difference"] == "0.001"
    assert all(isinstance(each, str) for each in tests["cost_usd"]["ci95"])
    helpful = tests["score:helpful"]
    assert (helpful["a"]["count"], helpful["b"]["count"]) == (20, 20)
    assert helpful["p_value"] < helpful["sequential"]["p_value"]
    assert not tests["error_rate"]["significant"]


async def test_the_order_of_rows_and_repeated_rows_change_no_digit(api: Api) -> None:
    await filled(api)
    first = await api.client.get(COMPARE, params=RANGE | {"versions": "2,1"})
    await filled(api)  # the prompt gets further versions, the rows are the same
    again = await api.client.get(COMPARE, params=RANGE | {"versions": "2,1"})
    assert json.loads(first.text) == json.loads(again.text)
    assert [each["version"] for each in first.json()["data"]] == [2, 1]


async def test_production_is_compared_with_the_latest_version_by_default_also_without_calls(
    api: Api,
) -> None:
    await with_prompts(api)
    move = {"newLabels": ["production"]}
    await api.client.patch("/api/public/v2/prompts/f%2Fgreet/versions/1", json=move)
    body = (await api.client.get(COMPARE, params=RANGE)).json()
    assert [(each["label"], each["version"]) for each in body["data"]] == [
        ("production", 1), ("latest", 2),
    ]  # fmt: skip
    assert body["tests"] == []
    assert body["data"][0]["calls"] == 0
    assert body["data"][0]["cost_usd"]["mean"] is None
    assert body["data"][0]["latency_ms"]["p50"] is None


@pytest.mark.parametrize(
    ("params", "status", "text"),
    [
        ({"versions": "1", "labels": "a"}, 422, "either versions or labels"),
        ({"versions": "1,x"}, 422, "'x' is not a number"),
        ({"versions": "1,1"}, 422, "must be different"),
        ({"versions": ["1", "1"]}, 422, "must be different"),
        ({"labels": ["a", "none"]}, 404, "with label 'none'"),
        ({"versions": "1,9"}, 404, "with version 9"),
        ({"labels": "a,none"}, 404, "with label 'none'"),
        ({"versions": "1", "from": RANGE["to"], "to": RANGE["from"]}, 422, "before to"),
    ],
)
async def test_an_invalid_comparison_is_refused(
    clickhouse_url: str, params: dict[str, str | list[str]], status: int, text: str
) -> None:
    async with opened(clickhouse_url, "no_store_is_needed") as api:
        await with_prompts(api)
        response = await api.client.get(COMPARE, params=params)
    assert (response.status_code, text in response.text) == (status, True), response.text
