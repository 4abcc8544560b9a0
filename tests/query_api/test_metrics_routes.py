"""The metrics API answers what plain Python computes from the same rows."""

import json
from collections.abc import AsyncIterator
from random import Random
from statistics import mean
from typing import Any

import pytest

from clickhouse.rows import ObservationRow
from tests.query_api.harness import NOON_US, OTHER, Api, Kept, observation, opened, score, trace

SECOND_US = 1_000_000
DAY_US = 86_400 * SECOND_US
USERS = ("ada", "bob", "")
MODELS = ("m1", "m2")
RANGE = {"fromTimestamp": "2026-11-21T00:00:00.000001Z", "toTimestamp": "2026-11-25T00:00:00Z"}


def _usage(inputs: int, outputs: int) -> dict[str, int]:
    """Return usage as rows have it: with its total."""
    return {"input": inputs, "output": outputs, "total": inputs + outputs}


def _rows() -> tuple[list[Any], list[ObservationRow]]:
    random = Random(5)
    traces, observations = [], []
    for number in range(12):
        start_us = NOON_US + number * 6 * 3_600 * SECOND_US
        trace_id = f"t{number}"
        traces.append(
            trace(
                trace_id, start_us, name=f"trace-{number % 3}", user_id=USERS[number % 3],
                session_id=f"s{number % 2}", tags=["a"] if number % 2 else ["a", "b"],
                observation_count=2, total_cost_pico=number * 10**9, end_us=start_us + 10**6,
                release="r1", usage={"input": 3, "output": 4, "total": 7},
            )
        )  # fmt: skip
        for index in range(2):
            latency_us = random.randrange(1, 5_000) * 1_000
            row = observation(
                trace_id, f"o{number}-{index}", start_us + index * SECOND_US,
                type="GENERATION", name=f"call-{index}", model=MODELS[number % 2],
                environment="production", level="ERROR" if number % 4 == 0 else "DEFAULT",
                end_us=start_us + index * SECOND_US + latency_us,
                completion_start_us=start_us + index * SECOND_US + 1_000,
                usage=_usage(random.randrange(1000), random.randrange(100)),
                total_cost_pico=random.randrange(10**12), version="v1",
            )  # fmt: skip
            observations.append(row)
    return traces, observations


TRACES, OBSERVATIONS = _rows()
USER_OF = {row.id: row.user_id for row in TRACES}


@pytest.fixture(scope="module")
def stored_rows(kept: Kept) -> str:
    theirs = observation("t0", "theirs", project_id=OTHER, model="m1", total_cost_pico=10**15)
    return kept(
        [
            *TRACES,
            *OBSERVATIONS,
            theirs,
            score("s1", trace_id="t0", value=0.25),
            score("s2", trace_id="t1", observation_id="o1-0", value=0.75),
            score("s3", trace_id="t1", name="kind", data_type="CATEGORICAL", string_value="good"),
            score("s4", trace_id="t1", name="ok", data_type="BOOLEAN", value=1.0),
        ]
    )


@pytest.fixture
async def stored(clickhouse_url: str, stored_rows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_rows) as api:
        yield api


async def asked(api: Api, path: str = "/api/public/metrics", **query: Any) -> list[dict[str, Any]]:
    given = {"view": "observations", **RANGE, **query}
    answer = await api.client.get(path, params={"query": json.dumps(given)})
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def metric(measure: str, aggregation: str) -> dict[str, str]:
    return {"measure": measure, "aggregation": aggregation}


def by(*names: str) -> list[dict[str, str]]:
    return [{"field": name} for name in names]


async def test_sums_by_model_are_those_of_the_rows(stored: Api) -> None:
    data = await asked(
        stored,
        dimensions=by("providedModelName"),
        metrics=[
            metric("totalCost", "sum"), metric("count", "count"), metric("totalTokens", "sum"),
            metric("inputTokens", "max"), metric("latency", "avg"),
            metric("uniqueUserIds", "uniq"),
        ],
        orderBy=[{"field": "providedModelName", "direction": "asc"}],
    )  # fmt: skip
    assert [row["providedModelName"] for row in data] == list(MODELS)
    for row in data:
        own = [each for each in OBSERVATIONS if each.model == row["providedModelName"]]
        assert row["sum_totalCost"] == pytest.approx(sum(o.total_cost_pico for o in own) / 10**12)
        assert row["count_count"] == len(own)
        assert row["sum_totalTokens"] == sum(o.usage["total"] for o in own)
        assert row["max_inputTokens"] == max(o.usage["input"] for o in own)
        assert row["avg_latency"] == pytest.approx(mean(o.end_us - o.start_us for o in own) / 1000)
        assert row["uniq_uniqueUserIds"] == len({USER_OF[o.trace_id] for o in own} - {""})


@pytest.mark.parametrize("path", ["/api/public/metrics", "/api/public/v2/metrics"])
async def test_observations_are_grouped_by_the_users_of_their_traces(
    stored: Api, path: str
) -> None:
    data = await asked(
        stored, path, dimensions=by("userId", "sessionId"), metrics=[metric("count", "count")]
    )
    found = {(row["userId"], row["sessionId"]): row["count_count"] for row in data}
    expected: dict[tuple[str | None, str], int] = {}
    for each in TRACES:
        key = (each.user_id or None, each.session_id)
        expected[key] = expected.get(key, 0) + 2
    assert found == expected


async def test_steps_of_all_lengths_add_up_to_the_whole(stored: Api) -> None:
    starts = {}
    for granularity in ("minute", "hour", "day", "week", "month", "auto"):
        data = await asked(
            stored,
            timeDimension={"granularity": granularity},
            metrics=[metric("count", "count")],
            config={"row_limit": 1000},
        )
        assert sum(row["count_count"] for row in data) == len(OBSERVATIONS)
        starts[granularity] = [row["time_dimension"] for row in data]
        assert starts[granularity] == sorted(starts[granularity])
    assert starts["minute"][0] == "2026-11-21T12:00:00.000Z"
    assert starts["day"] == ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24"]
    assert starts["week"] == ["2026-11-16", "2026-11-23"]
    assert (starts["month"], starts["auto"]) == (["2026-11-01"], starts["day"])


async def test_traces_have_their_own_dimensions_and_measures(stored: Api) -> None:
    data = await asked(
        stored, view="traces", dimensions=by("name", "tags"),
        metrics=[metric("count", "count"), metric("observationsCount", "sum"),
                 metric("latency", "p95"), metric("scoresCount", "sum")],
        filters=[{"type": "string", "column": "userId", "operator": "=", "value": "ada"}],
        orderBy=[{"field": "sum_scoresCount", "direction": "desc"}],
    )  # fmt: skip
    assert [(row["name"], row["tags"], row["count_count"]) for row in data] == [
        ("trace-0", ["a", "b"], 2),
        ("trace-0", ["a"], 2),
    ]
    assert [row["sum_observationsCount"] for row in data] == [4, 4]
    assert data[0]["p95_latency"] == 1000
    assert data[0]["sum_scoresCount"] == 1


async def test_scores_are_averaged_by_the_fields_of_their_observations(stored: Api) -> None:
    numeric = await asked(
        stored, view="scores-numeric", dimensions=by("name", "observationModelName", "userId"),
        metrics=[metric("value", "avg"), metric("count", "count")],
        orderBy=[{"field": "avg_value", "direction": "asc"}],
    )  # fmt: skip
    assert [list(row.values()) for row in numeric] == [
        ["helpful", None, "ada", 0.25, 1],
        ["helpful", "m2", "bob", 0.75, 1],
        ["ok", None, "bob", 1.0, 1],
    ]
    categorical = await asked(
        stored, "/api/public/v2/metrics", view="scores-categorical",
        dimensions=by("stringValue"), metrics=[metric("count", "count")],
    )  # fmt: skip
    assert categorical == [{"stringValue": "good", "count_count": 1}]


async def test_a_histogram_counts_every_observation(stored: Api) -> None:
    (row,) = await asked(
        stored, metrics=[metric("latency", "histogram")], config={"bins": 5, "row_limit": 10}
    )
    bars = row["histogram_latency"]
    assert len(bars) <= 5
    assert sum(height for _, _, height in bars) == pytest.approx(len(OBSERVATIONS))


async def test_rows_are_limited_and_ordered(stored: Api) -> None:
    data = await asked(
        stored, dimensions=by("id"), metrics=[metric("totalCost", "sum")], config={"row_limit": 3}
    )
    costliest = sorted(OBSERVATIONS, key=lambda row: -row.total_cost_pico)[:3]
    assert [row["id"] for row in data] == [row.id for row in costliest]


async def test_a_summary_counts_only_what_its_descendants_do_not_report(api: Api) -> None:
    usage = _usage(10, 0)
    await api.insert(
        trace("t", summaries={"root": {"input": 2, "total": 2, "cost_pico": 5 * 10**11}}),
        observation("t", "root", usage=usage, total_cost_pico=10**12),
        observation("t", "call", parent_id="root", usage=usage, total_cost_pico=10**12),
    )
    (row,) = await asked(api, metrics=[metric("totalCost", "sum"), metric("totalTokens", "sum")])
    assert row == {"sum_totalCost": 1.5, "sum_totalTokens": 12}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"view": "spans"}, "view"),
        ({"dimensions": by("color")}, "dimensions[0].field"),
        ({"metrics": [metric("count", "median")]}, "metrics[0].aggregation"),
        ({"metrics": [metric("weight", "sum")]}, "metrics[0].measure"),
        ({"metrics": []}, "query"),
        ({"fromTimestamp": "yesterday"}, "fromTimestamp"),
        ({"fromTimestamp": RANGE["toTimestamp"]}, "fromTimestamp"),
        ({"timeDimension": {"granularity": "second"}}, "query"),
        ({"orderBy": [{"field": "sum_count", "direction": "asc"}]}, "orderBy[0].field"),
        ({"config": {"row_limit": 100_000}}, "query"),
        ({"filters": [{"type": "string", "column": "x", "operator": "=", "value": ""}]}, "filter"),
    ],
)
async def test_the_error_for_an_invalid_query_names_the_field(
    stored: Api, query: dict[str, Any], field: str
) -> None:
    given = {"view": "observations", **RANGE, "metrics": [metric("count", "count")], **query}
    refused = await stored.client.get("/api/public/metrics", params={"query": json.dumps(given)})
    assert refused.status_code == 400
    assert field in refused.text


@pytest.mark.parametrize("text", ["{", "view=traces", '{"view": "\\ud800"}'])
async def test_a_query_that_is_not_json_is_an_error(stored: Api, text: str) -> None:
    refused = await stored.client.get("/api/public/metrics", params={"query": text})
    assert refused.status_code == 400
    assert "query: must be a JSON object" in refused.text


async def test_days_are_listed_with_the_usage_of_models(stored: Api) -> None:
    answer = await stored.client.get("/api/public/metrics/daily", params={"limit": 2, "page": 1})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["meta"] == {"page": 1, "limit": 2, "totalItems": 4, "totalPages": 2}
    assert [day["date"] for day in body["data"]] == ["2026-11-24", "2026-11-23"]
    day = body["data"][0]
    begin_us = NOON_US + 3 * DAY_US - DAY_US // 2
    own = [row for row in OBSERVATIONS if begin_us <= row.start_us < begin_us + DAY_US]
    assert (day["countTraces"], day["countObservations"]) == (len(own) // 2, len(own))
    assert day["totalCost"] == pytest.approx(sum(row.total_cost_pico for row in own) / 10**12)
    for usage in day["usage"]:
        of_model = [row for row in own if row.model == usage["model"]]
        assert usage["countObservations"] == len(of_model)
        assert usage["inputUsage"] == sum(row.usage["input"] for row in of_model)
        assert usage["totalUsage"] == sum(row.usage["total"] for row in of_model)


async def test_days_are_filtered_by_fields_of_traces(stored: Api) -> None:
    params = {"userId": "ada", "tags": ["b"], "traceName": "trace-0", "limit": 50}
    answer = await stored.client.get("/api/public/metrics/daily", params=params)
    counts = [(day["countTraces"], day["countObservations"]) for day in answer.json()["data"]]
    assert sum(traces for traces, _ in counts) == 2
    assert sum(observations for _, observations in counts) == 4
