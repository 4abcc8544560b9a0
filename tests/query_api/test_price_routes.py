"""Prices of projects and of the installation, through the routes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from producers.control.kinds.price import Price
from tests.query_api.harness import PROJECT, Api

ASKED: dict[str, Any] = {
    "name": "our contract",
    "match": "gpt-4o(-mini)?",
    "matching": "whole_name",
    "effective_from": "2026-11-01T00:00:00.000Z",
    "usd_per_million": {"input": "2.25", "output": "9"},
    "tiers": [
        {"input_above": 200_000, "service_tiers": [], "usd_per_million": {"input": "4.5"}},
        {"input_above": None, "service_tiers": ["flex"], "usd_per_million": {"input": "1"}},
    ],
}
OWN, ADMIN = "/v1/prices", "/v1/admin/prices"


@pytest.fixture(params=[OWN, ADMIN])
def path(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def client_of(api: Api, path: str) -> httpx.AsyncClient:
    return api.admin if path == ADMIN else api.client


async def created(api: Api, path: str = OWN, **fields: object) -> dict[str, Any]:
    answer = await client_of(api, path).post(path, json=ASKED | fields)
    assert answer.status_code == 201, answer.text
    price: dict[str, Any] = answer.json()
    return price


async def test_a_price_is_created_listed_read_and_deleted(api: Api, path: str) -> None:
    client = client_of(api, path)
    price = await created(api, path)
    assert price.pop("warnings") == [
        "no price of cache_read: tokens read from a cache cost as much as input"
    ]
    assert price | {"id": "", "created_at": ""} == ASKED | {
        "id": "",
        "created_at": "",
        "fault": None,
    }
    assert (await client.get(f"{path}/{price['id']}")).json() == price
    assert (await client.get(path)).json() == {"data": [price]}
    assert (await client.delete(f"{path}/{price['id']}")).status_code == 204
    assert (await client.get(f"{path}/{price['id']}")).status_code == 404
    assert (await client.get(path)).json() == {"data": []}


async def test_the_record_holds_picodollars_per_unit(api: Api, path: str) -> None:
    price = await created(api, path)
    record = api.control.view[Price][price["id"]]
    assert record.project_id == (None if path == ADMIN else PROJECT)
    assert record.prices == {"input": 2_250_000, "output": 9_000_000}
    assert [tier.prices for tier in record.tiers] == [{"input": 4_500_000}, {"input": 1_000_000}]


async def test_a_price_is_replaced_as_a_whole(api: Api, path: str) -> None:
    client, price = client_of(api, path), await created(api, path)
    answer = await client.put(
        f"{path}/{price['id']}", json={"match": "gpt-5", "usd_per_million": {"output": "0.000001"}}
    )
    assert answer.json() == {
        "id": price["id"],
        "name": "",
        "match": "gpt-5",
        "matching": "whole_name",
        "effective_from": None,
        "usd_per_million": {"output": "0.000001"},
        "tiers": [],
        "created_at": price["created_at"],
        "fault": None,
        "warnings": [],
    }
    again = await client.put(f"{path}/{price['id']}", json=ASKED)
    assert again.json()["warnings"] == price["warnings"] != []
    assert (await client.put(f"{path}/prc_none", json=ASKED)).status_code == 404


async def test_of_two_changes_of_one_version_one_succeeds(api: Api, path: str) -> None:
    client, price = client_of(api, path), await created(api, path)
    one = f"{path}/{price['id']}"
    etag = (await client.get(one)).headers["ETag"]
    other = ASKED | {"name": "another name"}
    changed = await client.put(one, json=other, headers={"If-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag
    assert (await client.put(one, json=ASKED, headers={"If-Match": etag})).status_code == 409
    assert (await client.delete(one, headers={"If-Match": etag})).status_code == 409
    assert (await client.delete(one, headers={"If-Match": "soon"})).status_code == 422
    deleted = await client.delete(one, headers={"If-Match": changed.headers["ETag"]})
    assert deleted.status_code == 204


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"match": r"(a)\1"}, "match", "backreferences"),
        ({"match": "gpt-4(?!o)"}, "match", "lookarounds"),
        ({"match": "("}, "match", "not a regular expression"),
        ({"match": "(a{1000}){1000}"}, "match", "too complex"),
        ({"match": "x" * 501}, "match", "500"),
        ({"match": ""}, "match", "at least 1"),
        ({"matching": "half"}, "matching", "whole_name"),
        ({"effective_from": "1969-12-31T00:00:00Z"}, "effective_from", "1970"),
        ({"effective_from": "2026-01-01"}, "effective_from", "offset"),
        ({"usd_per_million": {}}, "usd_per_million", "at least 1"),
        ({"usd_per_million": {"input": "0.0000001"}}, "usd_per_million.input", "picodollars"),
        (
            {"usd_per_million": {"input": "1.0000000000000000000000000000000000000001"}},
            "usd_per_million.input",
            "picodollars",
        ),
        ({"usd_per_million": {"input": 1e-7}}, "usd_per_million.input", "picodollars"),
        ({"usd_per_million": {"input": "-1"}}, "usd_per_million.input", "0 or more"),
        ({"usd_per_million": {"input": "1e3"}}, "usd_per_million.input", "decimal"),
        ({"usd_per_million": {"input": "١"}}, "usd_per_million.input", "decimal"),
        ({"usd_per_million": {"input": True}}, "usd_per_million.input", "decimal string"),
        ({"usd_per_million": {"input": None}}, "usd_per_million.input", "decimal string"),
        ({"usd_per_million": {"input": "9" * 20}}, "usd_per_million.input", "must be at most"),
        ({"usd_per_million": {"x" * 101: "1"}}, "usd_per_million", "1 to 100 letters"),
        ({"usd_per_million": {"a\nb": "1"}}, "usd_per_million", "1 to 100 letters"),
        ({"usd_per_million": {f"t{n}": "1" for n in range(101)}}, "usd_per_million", "100"),
        ({"tiers": [{"usd_per_million": {"input": "1"}}]}, "tiers.0", "input_above"),
        ({"tiers": ASKED["tiers"] * 26}, "tiers", "50"),
        ({"price": 1}, "price", "unknown field"),
    ],
)
async def test_a_wrong_field_is_refused_by_its_name(
    refusing_api: Api, path: str, fields: dict[str, object], field: str, reason: str
) -> None:
    answer = await client_of(refusing_api, path).post(path, json=ASKED | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "invalid_request")
    assert error["field"].startswith(field)
    assert reason in error["message"]
    assert refusing_api.control.view[Price] == {}


async def test_numbers_and_strings_are_exact(api: Api) -> None:
    usd = {"input": 0.15, "output": "0.600000", "cache_read": 1, "a": "0", "b": 1e-06}
    price = await created(api, usd_per_million=usd)
    assert price["usd_per_million"] == {
        "input": "0.15", "output": "0.6", "cache_read": "1", "a": "0", "b": "0.000001",
    }  # fmt: skip


async def test_projects_see_their_own_prices_alone(api: Api) -> None:
    price = await created(api)
    general = await created(api, ADMIN)
    del general["warnings"]
    for hidden in (price["id"], general["id"]):
        for answer in (
            await api.other.get(f"{OWN}/{hidden}"),
            await api.other.put(f"{OWN}/{hidden}", json=ASKED),
            await api.other.delete(f"{OWN}/{hidden}"),
        ):
            assert answer.status_code == 404
    assert (await api.other.get(OWN)).json() == {"data": []}
    assert (await api.admin.get(ADMIN)).json() == {"data": [general]}
    assert (await api.admin.get(f"{ADMIN}/{price['id']}")).status_code == 404
    assert len(api.control.view[Price]) == 2


async def test_prices_of_the_installation_need_the_admin_key(api: Api) -> None:
    for answer in (
        await api.client.get(ADMIN),
        await api.client.post(ADMIN, json=ASKED),
        await api.client.put(f"{ADMIN}/prc_1", json=ASKED),
        await api.client.delete(f"{ADMIN}/prc_1"),
    ):
        assert answer.status_code == 403
    assert (await api.admin.get(OWN)).status_code == 403


async def test_a_project_has_a_bounded_number_of_prices(api: Api) -> None:
    for n in range(100):
        api.control.keep(Price(id=f"p{n}", project_id=PROJECT, match="x", prices={"input": 1}))
    answer = await api.client.post(OWN, json=ASKED)
    assert answer.status_code == 409
    assert "at most 100 prices" in answer.json()["error"]["message"]
    assert (await api.other.post(OWN, json=ASKED)).status_code == 201


async def test_a_record_of_before_with_a_bad_pattern_is_shown_and_can_be_deleted(api: Api) -> None:
    api.control.keep(Price(id="old", project_id=PROJECT, match="gpt(?!-4)", prices={"input": 1}))
    (shown,) = (await api.client.get(OWN)).json()["data"]
    assert shown["fault"].startswith("match: not a regular expression")
    assert shown["created_at"] is None
    assert (await api.client.get("/v1/prices/defaults?model=gpt-5")).status_code == 200
    assert (await api.client.delete(f"{OWN}/old")).status_code == 204


async def test_defaults_of_a_model_have_sources_and_dates(api: Api) -> None:
    general = await created(api, ADMIN)
    api.control.keep(Price(id="own", project_id=PROJECT, match="gpt-4o", prices={"input": 1}))
    answer = (await api.client.get("/v1/prices/defaults", params={"model": "gpt-4o"})).json()
    first, shipped = answer["data"]
    assert (first["id"], first["origin"], first["effective_from"]) == (
        general["id"], "installation", ASKED["effective_from"],
    )  # fmt: skip
    assert first["tiers"][1]["when"] == {"service_tier": "flex"}
    assert (shipped["id"], shipped["origin"], shipped["provider"]) == (
        "openai/gpt-4o", "shipped", "openai",
    )  # fmt: skip
    assert shipped["usd_per_million"]["input"] == "2.5"
    assert shipped["source"].startswith("genai-prices")
    assert shipped["as_of"] == "2026-11-21"
    assert answer["meta"] == {"has_more": False, "cursor": None}


@pytest.mark.parametrize(
    ("model", "ids"),
    [
        ("openai/gpt-4o", ["openai/gpt-4o"]),
        ("no-such-model", []),
        ("o3", ["openai/o3", "openai/o3#2025-06-10"]),
    ],
)
async def test_defaults_are_found_by_the_name_that_applications_use(
    api: Api, model: str, ids: list[str]
) -> None:
    answer = (await api.client.get("/v1/prices/defaults", params={"model": model})).json()
    assert [each["id"] for each in answer["data"]] == ids


async def test_all_defaults_are_read_in_pages(api: Api) -> None:
    general = await created(api, ADMIN)
    ids: list[str] = []
    parameters: dict[str, Any] = {"limit": 500}
    while True:
        answer = (await api.client.get("/v1/prices/defaults", params=parameters)).json()
        ids += [each["id"] for each in answer["data"]]
        if not answer["meta"]["has_more"]:
            break
        parameters["cursor"] = answer["meta"]["cursor"]
    assert ids[0] == general["id"]
    assert ids[1:] == sorted(ids[1:])
    assert len(set(ids)) == len(ids) > 2_000


async def test_prices_that_change_with_length_and_time_are_shown(api: Api) -> None:
    async def prices_of(model: str) -> list[dict[str, Any]]:
        answer = await api.client.get("/v1/prices/defaults", params={"model": model})
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    (gemini,) = await prices_of("gemini-2.5-pro")
    above = [tier for tier in gemini["tiers"] if tier["input_above"] and not tier["when"]]
    assert [(tier["input_above"], tier["usd_per_million"]["input"]) for tier in above] == [
        (200_000, "2.5")
    ]
    hours = [price["hours"] for price in await prices_of("deepseek/deepseek-chat")]
    assert {"start": "00:30", "end": "16:30"} in hours


@pytest.mark.parametrize("parameters", [{"model": ""}, {"model": "x" * 201}, {"cursor": "x"}])
async def test_wrong_parameters_of_defaults_are_refused(
    api: Api, parameters: dict[str, str]
) -> None:
    answer = await api.client.get("/v1/prices/defaults", params=parameters)
    assert answer.status_code == 422
