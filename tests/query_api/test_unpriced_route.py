"""`GET /v1/prices/unpriced` lists models with usage that has no price, by traffic."""

from __future__ import annotations

from typing import Any

import pytest

from tests.query_api.harness import NOON_US, PROJECT, Api, observation, trace

PATH = "/v1/prices/unpriced"
RANGE = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
MINUTE_US = 60_000_000


def unpriced(id_: str, model: str, at_us: int = NOON_US, **fields: Any) -> Any:
    usage = fields.pop("usage", {"input": 10, "output": 2, "total": 12})
    return observation("t", id_, at_us, model=model, usage=usage,
        **{"cost_source": "unpriced"} | fields)  # fmt: skip


async def listed(api: Api, **query: object) -> list[dict[str, Any]]:
    answer = await api.client.get(PATH, params={**RANGE, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


async def test_models_are_listed_by_traffic_with_what_has_no_price(api: Api) -> None:
    audio = {"input": 5, "input_audio_tokens": 7, "total": 12}
    await api.insert(
        unpriced("a1", "acme-1"),
        unpriced("a2", "acme-1", NOON_US + MINUTE_US),
        unpriced("b", "acme-2", usage={"total": 30}),
        unpriced("c", "gpt-4o", usage=audio, cost_source="computed",
            unpriced_usage=("input_audio_tokens",)),
        observation("t", "d", model="gpt-4o", usage=audio, cost_source="computed"),
        observation("t", "e", model="acme-1", usage=audio, cost_source="given"),
        unpriced("f", "acme-1", NOON_US - 24 * 60 * MINUTE_US),
    )  # fmt: skip
    assert await listed(api) == [
        {
            "model": "acme-1", "observations": 2, "unpriced_observations": 2, "units": 24,
            "usage": {"input": 20, "output": 4}, "first_seen": "2026-11-21T12:00:00.000Z",
            "last_seen": "2026-11-21T12:01:00.000Z", "price": None,
        },
        {
            "model": "acme-2", "observations": 1, "unpriced_observations": 1, "units": 30,
            "usage": {"total": 30}, "first_seen": "2026-11-21T12:00:00.000Z",
            "last_seen": "2026-11-21T12:00:00.000Z", "price": None,
        },
        {
            "model": "gpt-4o", "observations": 1, "unpriced_observations": 0, "units": 7,
            "usage": {"input_audio_tokens": 7}, "first_seen": "2026-11-21T12:00:00.000Z",
            "last_seen": "2026-11-21T12:00:00.000Z", "price": "openai/gpt-4o",
        },
    ]  # fmt: skip


async def test_a_correction_and_a_deletion_leave_the_list(api: Api) -> None:
    await api.insert(
        unpriced("a", "acme-1"),
        unpriced("a", "acme-1", row_version=2, cost_source="computed"),
        unpriced("b", "acme-2"),
        unpriced("b", "acme-2", row_version=2, is_deleted=1),
        unpriced("c", "acme-3"),
        unpriced("c", "acme-3", row_version=2),
    )
    assert [(each["model"], each["observations"]) for each in await listed(api)] == [("acme-3", 1)]


async def test_an_observation_that_only_repeats_its_descendants_is_not_listed(api: Api) -> None:
    await api.insert(
        trace("t", summaries={"agent": {"input": 0, "output": 0}, "rest": {"input": 5}}),
        unpriced("agent", "acme-1"),
        unpriced("call", "acme-1", parent_id="agent"),
        unpriced("rest", "acme-2"),
    )
    assert [(each["model"], each["observations"]) for each in await listed(api)] == [
        ("acme-1", 1), ("acme-2", 1),
    ]  # fmt: skip


async def test_a_price_that_was_added_since_is_shown(api: Api) -> None:
    await api.insert(unpriced("a", "acme-1"))
    body = {"match": "acme-.*", "usd_per_million": {"input": "1"}}
    created = (await api.client.post("/v1/prices", json=body)).json()["id"]
    assert [each["price"] for each in await listed(api)] == [created]


async def test_pages_have_every_model_once(api: Api) -> None:
    rows = [
        unpriced(f"{model}-{number}", f"acme-{model}")
        for model in range(7)
        for number in range(1 + model % 3)
    ]
    await api.insert(*rows)
    seen: list[str] = []
    query: dict[str, Any] = {**RANGE, "limit": 2}
    while True:
        page = (await api.client.get(PATH, params=query)).json()
        seen += [each["model"] for each in page["data"]]
        assert len(page["data"]) <= 2
        assert page["meta"]["from"] == "2026-11-21T00:00:00.000Z"
        if not page["meta"]["has_more"]:
            break
        query = {"limit": 2, "cursor": page["meta"]["cursor"]}
    assert seen == ["acme-2", "acme-5", "acme-1", "acme-4", "acme-0", "acme-3", "acme-6"]


async def test_without_a_range_the_last_week_is_listed(api: Api) -> None:
    answer = (await api.client.get(PATH)).json()
    assert answer["data"] == []
    meta = answer["meta"]
    assert meta["from"][:10] < meta["to"][:10]
    assert (meta["has_more"], meta["cursor"]) == (False, None)
    assert PROJECT not in str(meta)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-11-22T00:00:00Z", "to": "2026-11-22T00:00:00Z"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-11-22"}, "to"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"model": "m"}, "model"),
    ],
)
async def test_an_error_names_the_parameter(api: Api, query: dict[str, str], field: str) -> None:
    answer = await api.client.get(PATH, params=query)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["field"] == field


async def test_a_cursor_keeps_its_range(api: Api) -> None:
    await api.insert(unpriced("a", "acme-1"), unpriced("b", "acme-2"))
    page = (await api.client.get(PATH, params={**RANGE, "limit": 1})).json()
    other = {"from": "2026-11-20T00:00:00Z", "cursor": page["meta"]["cursor"]}
    assert (await api.client.get(PATH, params=other)).json()["error"]["field"] == "from"
    same = {**RANGE, "cursor": page["meta"]["cursor"]}
    assert [each["model"] for each in (await api.client.get(PATH,
        params=same)).json()["data"]] == ["acme-2"]  # fmt: skip
