from collections.abc import AsyncIterator, Iterable
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from clickhouse.rows import WindowRow
from query_api.settings import QuerySettings
from streams.core.rollups.sketch import key_of, state_hex
from tests.query_api.harness import NOON_US, PROJECT, Api, Kept, make_api, opened

DIMENSIONS = [
    *("model", "environment", "name", "type", "level"),
    *("prompt_name", "prompt_version", "provider", "service_tier"),
]

NOON_S = NOON_US // 1_000_000
_random = Random(7)
LATENCIES_US = [_random.lognormvariate(13, 1) for _ in range(3_000)]


def sketch(values_us: Iterable[float]) -> str:
    bins: dict[int, int] = {}
    for value in values_us:
        bins[key_of(value)] = bins.get(key_of(value), 0) + 1
    return state_hex(bins)


def window(minute: int, values_us: list[float], **fields: Any) -> WindowRow:
    given = {
        "project_id": PROJECT, "environment": "production", "model": "m1", "name": "call",
        "row_version": 1,
        "observation_count": len(values_us), "latency_state_hex": sketch(values_us), **fields,
    }  # fmt: skip
    return WindowRow(**{"window_s": NOON_S + 60 * minute} | given)


@pytest.fixture(scope="module")
def stored_windows(kept: Kept) -> str:
    return kept(
        [
            window(0, [1.0], error_count=9, total_cost_pico=10**15),
            window(
                0, LATENCIES_US[:1000], row_version=2, error_count=1, total_cost_pico=1,
                usage={"input": 10, "output": 1},
            ),
            window(1, LATENCIES_US[1000:2000], total_cost_pico=10**12, usage={"input": 5}),
            window(1, LATENCIES_US[2000:], model="m2", name="other", error_count=2,
                total_cost_pico=5),
            window(70, [], environment="staging", observation_count=3, total_cost_pico=7),
            window(12 * 60 + 30, [2000.0], model="m2", total_cost_pico=11),
            window(
                24 * 60, [2e6], window_s=NOON_S + 86_400, type="GENERATION", provider="openai",
                error_count=3, error_types={"429": 2, "Timeout": 1}, unpriced_count=2,
                ttft_state_hex=sketch([400_000.0]), rate_state_hex=sketch([25_000.0]),
                usage={"input": 60, "cache_read_input_tokens": 30, "input_cache_creation": 10},
                cache_exact_count=2, cache_semantic_count=1, cache_miss_count=1,
                cached_saved_pico=-5, app_saved_pico=3 * 10**12,
            ),
            window(
                24 * 60, [2e6], window_s=NOON_S + 86_410, type="TOOL", error_count=1,
                error_types={"429": 1}, total_cost_pico=1,
            ),
        ]
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def windows(clickhouse_url: str, stored_windows: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_windows) as api:
        yield api


async def asked(api: Api, **params: object) -> list[dict[str, Any]]:
    given = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-22T12:00:00Z", **params}
    answer = await api.client.get("/v1/windows", params=given)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


def exact(values_us: list[float], quantile: float) -> float:
    return sorted(values_us)[int(quantile * (len(values_us) - 1))] / 1000


@pytest.mark.asyncio(loop_scope="module")
async def test_minutes_are_absolute_and_the_newest_version_counts(windows: Api) -> None:
    first, second, *_ = await asked(windows)
    assert (first["start"], first["end"]) == (
        "2026-11-21T12:00:00.000Z",
        "2026-11-21T12:01:00.000Z",
    )
    assert (first["count"], first["errors"], first["cost_usd"]) == (1000, 1, "0.000000000001")
    assert first["tokens"] == {"input": 10, "output": 1}
    assert (second["count"], second["cost_usd"]) == (2000, "1.000000000005")
    assert "model" not in first


@pytest.mark.asyncio(loop_scope="module")
async def test_percentiles_are_those_of_the_union(windows: Api) -> None:
    hour = (await asked(windows, step="1h"))[0]
    assert hour["count"] == 3000
    for name, quantile in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert hour["latency_ms"][name] == pytest.approx(exact(LATENCIES_US, quantile), rel=0.011)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_step_in_which_nothing_ended_has_no_percentiles(windows: Api) -> None:
    (staging,) = await asked(windows, step="1h", environment="staging")
    assert staging["latency_ms"] == dict.fromkeys(("p50", "p90", "p95", "p99"))
    assert (staging["start"], staging["count"]) == ("2026-11-21T13:00:00.000Z", 3)


@pytest.mark.asyncio(loop_scope="module")
async def test_steps_are_those_of_the_time_zone(windows: Api) -> None:
    days = await asked(windows, step="1d", time_zone="Europe/Berlin")
    assert [(day["start"], day["end"], day["count"]) for day in days] == [
        ("2026-11-20T23:00:00.000Z", "2026-11-21T23:00:00.000Z", 3003),
        ("2026-11-21T23:00:00.000Z", "2026-11-22T23:00:00.000Z", 1),
    ]
    utc = await asked(windows, step="1d")
    assert [(day["start"], day["count"]) for day in utc] == [
        ("2026-11-21T00:00:00.000Z", 3003),
        ("2026-11-22T00:00:00.000Z", 1),
    ]
    half_past = await asked(windows, step="1h", time_zone="Asia/Kolkata")
    assert half_past[0]["start"] == "2026-11-21T11:30:00.000Z"


@pytest.mark.asyncio(loop_scope="module")
async def test_rows_are_grouped_and_filtered_by_dimensions(windows: Api) -> None:
    rows = await asked(windows, step="1d", group_by="model,environment")
    assert [(row["model"], row["environment"], row["count"]) for row in rows] == [
        ("m1", "production", 2000),
        ("m1", "staging", 3),
        ("m2", "production", 1000),
        ("m2", "production", 1),
    ]
    assert [row["count"] for row in await asked(windows, step="1d", model="m2")] == [1000, 1]
    assert [
        row["count"] for row in await asked(windows, step="1d", model=["m1", "m2"], name="other")
    ] == [1000]
    named = await asked(windows, step="1d", group_by=["name"], environment="production")
    assert [(row["name"], row["count"]) for row in named] == [
        ("call", 2000),
        ("other", 1000),
        ("call", 1),
    ]


NEXT_DAY = {"from": "2026-11-22T12:00:00Z", "to": "2026-11-22T12:01:00Z"}


@pytest.mark.asyncio(loop_scope="module")
async def test_only_the_selected_fields_are_shown(windows: Api) -> None:
    whole = (await asked(windows, step="1d", group_by="model"))[0]
    part = (await asked(windows, step="1d", group_by="model", fields="cost,count"))[0]
    assert list(part) == ["start", "end", "model", "count", "cost_usd"]
    assert part == {name: whole[name] for name in part}
    repeated = await asked(windows, step="1d", fields=["latency_ms", "cache, errors"])
    assert [list(row)[2:] for row in repeated[:1]] == [["errors", "latency_ms", "cache"]]


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unknown_field_is_refused(windows: Api) -> None:
    answer = await windows.client.get("/v1/windows", params={"fields": "count,price"})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "fields"
    assert "cost_usd" in answer.json()["error"]["allowed"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_window_shows_all_measures(windows: Api) -> None:
    (minute,) = await asked(windows, **NEXT_DAY)
    assert minute["error_types"] == {"429": 3, "Timeout": 1}
    assert (minute["count"], minute["errors"], minute["unpriced"]) == (2, 4, 2)
    assert minute["ttft_ms"]["p50"] == pytest.approx(400, rel=0.011)
    assert minute["output_tokens_per_s"]["p99"] == pytest.approx(25, rel=0.011)
    assert minute["cache"] == {
        "prompt": {
            "input_tokens": 100,
            "cached_tokens": 30,
            "hit_ratio": 0.3,
            "saved_usd": "-0.000000000005",
        },
        "application": {"exact": 2, "semantic": 1, "miss": 1, "hit_rate": 0.75, "saved_usd": "3"},
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_steps_of_ten_seconds_and_every_dimension_can_be_grouped(windows: Api) -> None:
    rows = await asked(windows, **NEXT_DAY, step="10s", group_by="type,provider")
    assert [(row["start"][11:19], row["type"], row["provider"]) for row in rows] == [
        ("12:00:00", "GENERATION", "openai"),
        ("12:00:10", "TOOL", ""),
    ]
    only = {"from": "2026-11-22T12:00:15Z", "to": "2026-11-22T12:00:16Z", "step": "10s"}
    assert [row["type"] for row in await asked(windows, **only, group_by="type")] == ["TOOL"]
    assert await asked(windows, **NEXT_DAY, provider="azure") == []


@pytest.mark.asyncio(loop_scope="module")
async def test_caches_are_summed_over_the_range_and_shown_by_step_and_group(windows: Api) -> None:
    days = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-23T00:00:00Z", "group_by": "type"}
    answer = await windows.client.get("/v1/cache", params=days)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["meta"]["step"] == "1d"
    assert body["prompt"] == {
        "input_tokens": 115,
        "cached_tokens": 30,
        "hit_ratio": round(30 / 115, 6),
        "saved_usd": "-0.000000000005",
    }
    assert body["application"]["hit_rate"] == 0.75
    found = [(row["start"][:10], row["type"]) for row in body["data"]]
    assert found == [
        ("2026-11-21", ""),
        ("2026-11-22", ""),
        ("2026-11-22", "GENERATION"),
        ("2026-11-22", "TOOL"),
    ]
    assert body["data"][3]["application"]["hit_rate"] is None
    assert body["data"][2]["application"]["saved_usd"] == "3"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_range_counts_whole_minutes(windows: Api) -> None:
    rows = await asked(windows, **{"from": "2026-11-21T12:01:30Z", "to": "2026-11-21T12:01:31Z"})
    assert [row["count"] for row in rows] == [2000]
    answer = await windows.client.get(
        "/v1/windows", params={"from": "2026-11-21T12:01:30Z", "to": "2026-11-21T12:01:31Z"}
    )
    assert answer.json()["meta"] == {
        "from": "2026-11-21T12:01:00.000Z", "to": "2026-11-21T12:02:00.000Z", "step": "1m",
        "time_zone": "UTC", "group_by": [], "percentile_relative_error": 0.01,
    }  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("params", "field", "allowed"),
    [
        ({"step": "5m"}, "step", ["10s", "1m", "1h", "1d"]),
        ({"group_by": "model,user"}, "group_by", DIMENSIONS),
        ({"time_zone": "Mars/Olympus"}, "time_zone", None),
        ({"from": "yesterday"}, "from", None),
        ({"from": "2026-11-21T12:00:00Z", "to": "2026-11-21T11:00:00Z"}, "from", None),
        ({"from": "2020-01-01T00:00:00Z"}, "from", None),
        ({"time_zone": "Factory"}, "time_zone", None),
        ({"mode": "m1"}, "mode", ["from", "to", "step", "group_by", *DIMENSIONS,
            "time_zone", "fields"]),
    ],
)  # fmt: skip
async def test_the_error_for_an_invalid_query_names_the_field(
    windows: Api, params: dict[str, str], field: str, allowed: list[str] | None
) -> None:
    refused = await windows.client.get("/v1/windows", params=params)
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert (error["field"], error.get("allowed")) == (field, allowed)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("since", "until", "field", "fault"),
    [
        ("1900-01-01", "1901-01-01", "to", "must be after 1970-01-01T00:00:00.000Z"),
        ("2200-01-01", "2200-01-02", "from", "must be before 2106-02-07T06:28:00.000Z"),
        ("9999-01-01", "9999-01-02", "from", "in the years 1900 to 2299"),
        ("1901-01-01", "1900-01-01", "from", "must be before `to`"),
    ],
)
async def test_times_without_data_differ_from_reversed_times(
    windows: Api, since: str, until: str, field: str, fault: str
) -> None:
    params = {"step": "1d", "from": f"{since}T00:00:00Z", "to": f"{until}T00:00:00Z"}
    refused = await windows.client.get("/v1/windows", params=params)
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, field)
    assert fault in refused.json()["error"]["message"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_range_may_begin_before_all_data(windows: Api) -> None:
    params = {"from": "1960-01-01T00:00:00Z", "to": "1970-01-02T00:00:00Z", "step": "1d"}
    answer = await windows.client.get("/v1/windows", params=params | {"time_zone": "Asia/Tokyo"})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


@pytest.mark.asyncio(loop_scope="module")
async def test_more_rows_than_an_answer_may_hold_are_refused(windows: Api) -> None:
    small, clients = make_api(windows.store, QuerySettings(window_rows_max=2))
    params = {"from": "2026-11-21T12:00:00Z", "to": "2026-11-22T12:00:00Z"}
    refused = await small.client.get("/v1/windows", params=params)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "query_too_costly")
    for client in clients:
        await client.aclose()


async def test_windows_that_a_correction_emptied_are_omitted(api: Api) -> None:
    await api.insert(
        window(0, [1.0], total_cost_pico=5, name="emptied"),
        window(1, [1.0], name="free"),
        window(2, [], name="paid", total_cost_pico=3),
    )
    await api.insert(window(0, [], row_version=2, name="emptied"))
    rows = await asked(api, group_by="name")
    assert [(row["name"], row["count"], row["cost_usd"]) for row in rows] == [
        ("free", 1, "0"),
        ("paid", 0, "0.000000000003"),
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("time_zone", ["localtime", "posix/Europe/Berlin", "Europe", "Mars/Phobos"])
async def test_a_time_zone_that_the_store_may_not_know_is_refused(
    windows: Api, time_zone: str
) -> None:
    refused = await windows.client.get("/v1/windows", params={"time_zone": time_zone})
    assert (refused.status_code, refused.json()["error"]["field"]) == (422, "time_zone")
    assert time_zone in refused.json()["error"]["message"]


async def test_sums_beyond_64_bits_are_exact(api: Api) -> None:
    most = 2**63 - 1
    await api.insert(
        *(window(n, [1.0], total_cost_pico=most, usage={"output": most}) for n in range(3)),
        window(3, [1.0], total_cost_pico=5, usage={"output": 5}),
    )
    (day,) = await asked(api, step="1d")
    assert day["cost_usd"] == "27670116.110564327426"
    assert day["tokens"] == {"output": 3 * most + 5}
