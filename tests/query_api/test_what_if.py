from typing import Any

import pytest

from clickhouse.rows import WindowRow
from streams.core.rollups.sketch import state_hex
from tests.query_api.harness import NOON_US, OTHER, PROJECT, Api, observation, trace
from tests.query_api.test_rule_backtests import at

NOON_S = NOON_US // 10**6
DAY_S = 86_400
PATH = "/v1/what-if"


def window(at_s: int, model: str, pico: int, tokens: dict[str, int], **fields: Any) -> WindowRow:
    given: dict[str, Any] = {
        "project_id": PROJECT, "environment": "production", "name": "n", "observation_count": 2,
        "latency_state_hex": state_hex({}), "row_version": 1, "usage": tokens,
    }  # fmt: skip
    start_s = NOON_S + at_s
    return WindowRow(window_s=start_s, model=model, total_cost_pico=pico, **(given | fields))


async def fill(api: Api) -> None:
    tokens = {"input": 1_000_000, "output": 100_000, "total": 1_100_000}
    await api.insert(
        window(0, "gpt-4o", 35 * 10**11, tokens),
        window(10, "gpt-4o", 35 * 10**11, tokens, name="other"),
        window(DAY_S, "claude", 10**12, {"input": 10, "images": 3}, environment="staging"),
        window(0, "", 0, {}),
        window(0, "gpt-4o", 10**12, tokens, project_id=OTHER),
    )


async def test_the_same_traffic_is_priced_at_another_models_price_by_day_and_model(
    api: Api,
) -> None:
    await fill(api)
    body = {"from": at(-DAY_S), "to": at(3 * DAY_S), "model": "gpt-4o-mini"}
    answer = await api.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["data"][0] == {
        "date": "2026-11-21", "model": "gpt-4o", "calls": 4,
        "tokens": {"input": 2_000_000, "output": 200_000, "total": 2_200_000},
        "actual_usd": "7", "what_if_usd": "0.42", "difference_usd": "-6.58", "unpriced": {},
    }  # fmt: skip
    assert found["data"][1] == {
        "date": "2026-11-22", "model": "claude", "calls": 2, "tokens": {"images": 3, "input": 10},
        "actual_usd": "1", "what_if_usd": "0.0000015", "difference_usd": "-0.9999985",
        "unpriced": {"images": 3},
    }  # fmt: skip
    assert len(found["data"]) == 2
    assert (found["total"]["actual_usd"], found["total"]["what_if_usd"]) == ("8", "0.4200015")


async def test_the_same_traffic_is_priced_at_another_price(api: Api) -> None:
    await fill(api)
    body = {
        "from": at(-DAY_S), "to": at(3 * DAY_S), "filter": {"model": "gpt-4o", "name": ["n"]},
        "usd_per_million": {"input": "1", "output": "2"},
    }  # fmt: skip
    found = (await api.client.post(PATH, json=body)).json()
    assert [(each["model"], each["what_if_usd"]) for each in found["data"]] == [("gpt-4o", "1.2")]


async def test_the_last_seven_days_are_priced_by_default(api: Api) -> None:
    answer = await api.client.post(PATH, json={"to": at(DAY_S), "model": "gpt-4o-mini"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["from"] == "2026-11-15T12:00:00.000Z"
    assert answer.json()["data"] == []


async def test_the_traffic_of_a_user_is_priced(api: Api) -> None:
    usage = {"input": 1_000_000, "output": 100_000, "total": 1_100_000}
    await api.insert(
        *(
            each
            for user in ("ada", "bob")
            for each in (
                trace(user, NOON_US, user_id=user),
                observation(user, "o", NOON_US, model="gpt-4o", type="GENERATION", usage=usage,
                    total_cost_pico=35 * 10**11),
            )
        )
    )  # fmt: skip
    body = {
        "from": at(-DAY_S),
        "to": at(DAY_S),
        "model": "gpt-4o-mini",
        "filter": {"user_id": "ada"},
    }
    answer = await api.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    (day,) = answer.json()["data"]
    assert (day["calls"], day["actual_usd"], day["what_if_usd"]) == (1, "3.5", "0.21")


async def test_a_price_of_the_project_outranks_the_shipped_one(api: Api) -> None:
    await fill(api)
    price = {"match": "gpt-4o-mini", "usd_per_million": {"input": "10", "output": "0"}}
    assert (await api.client.post("/v1/prices", json=price)).status_code == 201
    body = {"from": at(0), "to": at(60), "model": "gpt-4o-mini"}
    found = (await api.client.post(PATH, json=body)).json()
    assert found["total"]["what_if_usd"] == "20"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": "no-such-model"}, "model"),
        ({"usd_per_million": {"input": "1"}}, "model"),
        ({"model": None}, "model"),
        ({"filter": {"user": ["u"]}}, "filter.user"),
        ({"from": at(60)}, "from"),
        ({"from": at(-93 * DAY_S)}, "from"),
        ({"time_zone": "Mars"}, "time_zone"),
    ],
)
async def test_the_error_for_an_invalid_request_names_its_field(
    api: Api, fields: dict[str, Any], field: str
) -> None:
    body = {"from": at(0), "to": at(60), "model": "gpt-4o-mini"} | fields
    refused = await api.client.post(PATH, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field


@pytest.mark.parametrize("filters", [{"": ["x"]}, {f"metadata.k{n}": ["x"] for n in range(51)}])
async def test_filters_that_the_query_cannot_have_are_refused(
    api: Api, filters: dict[str, list[str]]
) -> None:
    body = {"from": at(-DAY_S), "to": at(0), "model": "gpt-4o-mini", "filter": filters}
    refused = await api.client.post(PATH, json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["field"].startswith("filter")
