"""Users, sessions and traces have totals, and users a cost for every day."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from clickhouse.rows import SpendRow
from tests.query_api.harness import NOON_US, PROJECT, Api, observation, trace

DAY_S = 86_400
NOON_S = NOON_US // 10**6
DAY = {"from": "2026-11-20T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
USD = 10**12


def spend(pico: int, at_s: int = NOON_S, **fields: Any) -> SpendRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "bucket_s": at_s, "user_id": "u1", "model": "m1",
        "environment": "e", "row_version": 1, "total_cost_pico": pico, "observation_count": 1,
    }  # fmt: skip
    return SpendRow(**given | fields)


async def cost(api: Api, path: str = "/v1/users/u1/cost", **query: Any) -> dict[str, Any]:
    answer = await api.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_every_day_has_its_cost_by_model_and_days_without_calls_have_zeros(api: Api) -> None:
    await api.insert(
        spend(1, input_tokens=5, output_tokens=2, total_tokens=7),
        spend(USD, model="m2", session_id="s1"),
        spend(USD // 2, model="m2", session_id="s2", input_tokens=3, total_tokens=3),
        spend(9 * USD, user_id="u2"),
        spend(7, NOON_S + DAY_S),
        spend(0, model=""),
        spend(0, model="m3", unpriced_count=4),
    )
    found = await cost(api, **DAY)
    assert found["meta"] == {
        "from": "2026-11-20T00:00:00.000Z", "to": "2026-11-22T00:00:00.000Z", "time_zone": "UTC",
        "cost_usd": "1.500000000001", "unpriced": 4,
    }  # fmt: skip
    empty, day = found["data"]
    none = {"input": 0, "output": 0, "total": 0}
    assert empty == {
        "date": "2026-11-20", "cost_usd": "0", "unpriced": 0, "tokens": none, "by_model": [],
    }  # fmt: skip
    assert day == {
        "date": "2026-11-21",
        "cost_usd": "1.500000000001",
        "unpriced": 4,
        "tokens": {"input": 8, "output": 2, "total": 10},
        "by_model": [
            {
                "model": "m2", "cost_usd": "1.5", "unpriced": 0,
                "tokens": {"input": 3, "output": 0, "total": 3},
            },
            {
                "model": "m1", "cost_usd": "0.000000000001", "unpriced": 0,
                "tokens": {"input": 5, "output": 2, "total": 7},
            },
            {"model": "m3", "cost_usd": "0", "unpriced": 4, "tokens": none},
        ],
    }  # fmt: skip


async def test_the_newest_version_of_a_row_counts(api: Api) -> None:
    await api.insert(spend(5), spend(3, row_version=2), spend(8, row_version=1))
    assert (await cost(api, **DAY))["meta"]["cost_usd"] == "0.000000000003"


async def test_the_last_days_are_those_up_to_today(api: Api) -> None:
    found = await cost(api, days=3)
    today = datetime.now(UTC).date()
    dates = [day["date"] for day in found["data"]]
    assert len(dates) == 3
    assert (today - datetime.fromisoformat(dates[-1]).date()).days in (0, 1)  # midnight may pass
    assert len((await cost(api))["data"]) == 7
    assert len((await cost(api, days=366))["data"]) == 366


async def test_days_begin_in_the_time_zone_also_when_the_clocks_change(api: Api) -> None:
    # In New York, 1 November 2026 has 25 hours, from 04:00 UTC to 05:00 UTC of the next day.
    begin_s = int(datetime(2026, 11, 1, 4, tzinfo=UTC).timestamp())
    await api.insert(
        spend(1, begin_s - 900),
        spend(2, begin_s),
        spend(4, begin_s + 25 * 3600 - 900),
        spend(8, begin_s + 25 * 3600),
    )
    query = {"from": "2026-10-31T12:00:00Z", "to": "2026-11-02T12:00:00Z"}
    found = await cost(api, time_zone="America/New_York", **query)
    assert [(day["date"], day["cost_usd"][-1]) for day in found["data"]] == [
        ("2026-10-31", "1"), ("2026-11-01", "6"), ("2026-11-02", "8"),
    ]  # fmt: skip


@pytest.mark.parametrize("user_id", ["a/b", "größe 🙂", "a%2Fb", "x/cost", "/"])
async def test_ids_may_have_slashes_and_any_letters(api: Api, user_id: str) -> None:
    await api.insert(spend(3, user_id=user_id))
    found = await cost(api, f"/v1/users/{quote(user_id, safe='')}/cost", **DAY)
    assert found["meta"]["cost_usd"] == "0.000000000003"
    totals = await cost(api, f"/v1/users/{quote(user_id, safe='')}/totals")
    assert totals["user_id"] == user_id


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
        ({"days": "x"}, "days"),
        ({"days": 2, "from": "2026-11-20T00:00:00Z"}, "days"),
        ({"from": "2026-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}, "from"),
        ({"from": "2020-11-22T00:00:00Z", "to": "2026-11-21T00:00:00Z"}, "from"),
        ({"to": "1960-01-01T00:00:00Z"}, "to"),
        ({"to": "2290-01-01T00:00:00Z"}, "to"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"day": 1}, "day"),
    ],
)
async def test_a_range_that_cannot_be_answered_is_refused(
    api: Api, query: dict[str, Any], field: str
) -> None:
    answer = await api.client.get("/v1/users/u1/cost", params=query)
    assert answer.status_code in (400, 422), answer.text
    assert field in answer.text


async def test_a_user_and_a_session_have_totals_of_their_traces(api: Api) -> None:
    await api.insert(
        trace("t1", NOON_US, user_id="u1", session_id="s1", observation_count=2, error_count=1,
            total_cost_pico=3, end_us=NOON_US + 5),
        trace("t2", NOON_US + 9, user_id="u1", session_id="s2", observation_count=1,
            total_cost_pico=4, unpriced_count=2),
        trace("t3", NOON_US, user_id="u1", session_id="s1", row_version=1),
        trace("t3", NOON_US, user_id="u2", session_id="s1", row_version=2, total_cost_pico=10),
        spend(3, session_id="s1", input_tokens=7, total_tokens=7),
        spend(4, session_id="s2", model="m2"),
        spend(10, session_id="s1", user_id="u2"),
    )  # fmt: skip
    user = await cost(api, "/v1/users/u1/totals")
    assert user == {
        "user_id": "u1", "cost_usd": "0.000000000007", "traces": 2, "observations": 3, "errors": 1,
        "unpriced": 2,
        "tokens": {"input": 7, "output": 0, "total": 7},
        "first_seen": "2026-11-21T12:00:00.000Z", "last_seen": "2026-11-21T12:00:00.000009Z",
        "by_model": [
            {
                "model": "m2", "cost_usd": "0.000000000004", "unpriced": 0,
                "tokens": {"input": 0, "output": 0, "total": 0},
            },
            {
                "model": "m1", "cost_usd": "0.000000000003", "unpriced": 0,
                "tokens": {"input": 7, "output": 0, "total": 7},
            },
        ],
    }  # fmt: skip
    session = await cost(api, "/v1/sessions/s1/totals")
    assert (session["traces"], session["cost_usd"]) == (2, "0.000000000013")
    assert session["by_model"][0]["cost_usd"] == "0.000000000013"
    unknown = await cost(api, "/v1/sessions/none/totals")
    assert unknown == {
        "session_id": "none", "cost_usd": "0", "traces": 0, "observations": 0, "errors": 0,
        "unpriced": 0,
        "tokens": {"input": 0, "output": 0, "total": 0}, "first_seen": None, "last_seen": None,
        "by_model": [],
    }  # fmt: skip


async def test_a_trace_has_totals_while_it_is_open(api: Api) -> None:
    calls = (
        observation("t", "o1", NOON_US, end_us=NOON_US + 9_000_000, type="SPAN",
            usage={"input": 5, "output": 1, "total": 6}, total_cost_pico=30, model="m1"),
        observation("t", "o2", NOON_US + 10, parent_id="o1", model="m1", type="GENERATION",
            usage={"input": 4, "output": 1, "total": 5}, total_cost_pico=20,
            end_us=NOON_US + 8_000_000, completion_start_us=NOON_US + 2_000_000),
        observation("t", "o3", NOON_US + 20, parent_id="o2", model="m2", type="GENERATION",
            usage={"input": 2, "total": 2}, total_cost_pico=25),
    )  # fmt: skip
    whole = {
        "observation_count": 3, "error_count": 1, "total_cost_pico": 46,
        "usage": {"input": 6, "output": 1, "total": 7}, "end_us": NOON_US + 9_000_000,
        "summaries": {"o1": {"cost_pico": 1}},
    }  # fmt: skip
    await api.insert(trace("t", NOON_US, **whole), *calls)
    answer = await cost(api, "/v1/traces/t/totals")
    assert answer == {
        "trace_id": "t", "is_open": True, "start_time": "2026-11-21T12:00:00.000Z",
        "end_time": "2026-11-21T12:00:09.000Z", "latency_ms": 9000.0,
        "time_to_first_token_ms": 2000.0, "cost_usd": "0.000000000046",
        "tokens": {"input": 6, "output": 1, "total": 7},
        "tokens_by_type": {"input": 6, "output": 1, "total": 7}, "observations": 3, "errors": 1,
        "unpriced": 0, "depth": 3, "truncated": False,
        "by_model": [
            {
                "model": "m2", "cost_usd": "0.000000000025", "unpriced": 0,
                "tokens": {"input": 2, "output": 0, "total": 2},
            },
            {
                "model": "m1", "cost_usd": "0.000000000021", "unpriced": 0,
                "tokens": {"input": 4, "output": 1, "total": 5},
            },
        ],
    }  # fmt: skip
    ended = observation("t", "o3", NOON_US + 20, parent_id="o2", end_us=NOON_US + 30, row_version=2)
    await api.insert(ended)
    assert (await cost(api, "/v1/traces/t/totals"))["is_open"] is False
    missing = await api.client.get("/v1/traces/nothing/totals")
    assert missing.status_code == 404
