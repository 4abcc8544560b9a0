"""Langfuse's model definitions: the same records as ``/v1/prices``."""

from __future__ import annotations

from typing import Any

import pytest

from producers.control.kinds.price import Price
from tests.query_api.harness import PROJECT, Api

MODELS = "/api/public/models"
FLAT: dict[str, Any] = {
    "modelName": "gpt-4o",
    "matchPattern": "(?i)^(openai/)?(gpt-4o)$",
    "unit": "TOKENS",
    "inputPrice": 2.25e-06,
    "outputPrice": 9e-06,
}
LONG = {
    "usageDetailPattern": "(input|prompt|cached)",
    "operator": "gt",
    "value": 200000,
    "caseSensitive": False,
}
FLEX = {"source": "model_parameters", "key": "service_tier", "operator": "in", "values": ["flex"]}
STANDARD = {
    "name": "Base", "isDefault": True, "priority": 0, "conditions": [],
    "prices": {"input": 3e-06, "output": 1.5e-05},
}  # fmt: skip
TIERS: list[dict[str, Any]] = [
    {"name": "Flex", "isDefault": False, "priority": 7, "conditions": [FLEX],
     "prices": {"input": 1e-06, "output": 2e-06}},
    STANDARD,
    {"name": "Long", "isDefault": False, "priority": 2, "conditions": [LONG],
     "prices": {"input": 6e-06, "output": 2.25e-05}},
]  # fmt: skip
TIERED = {
    "modelName": "acme", "matchPattern": "acme-[0-9]", "unit": "TOKENS", "pricingTiers": TIERS,
    "startDate": "2026-01-01", "tokenizerId": "openai", "tokenizerConfig": {"tokensPerName": 1},
}  # fmt: skip


async def created(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.client.post(MODELS, json=body)
    assert answer.status_code == 200, answer.text
    model: dict[str, Any] = answer.json()
    return model


async def test_a_model_with_flat_prices_is_a_price(api: Api) -> None:
    model = await created(api, FLAT | {"startDate": None, "pricingTiers": None})
    record = api.control.view[Price][model["id"]]
    assert (record.project_id, record.match, record.matching) == (
        PROJECT, FLAT["matchPattern"], "part",
    )  # fmt: skip
    assert record.prices == {"input": 2_250_000, "output": 9_000_000}
    assert model == {
        "id": record.id,
        "modelName": "gpt-4o",
        "matchPattern": FLAT["matchPattern"],
        "startDate": None,
        "unit": "TOKENS",
        "inputPrice": 2.25e-06,
        "outputPrice": 9e-06,
        "totalPrice": None,
        "tokenizerId": None,
        "tokenizerConfig": None,
        "isLangfuseManaged": False,
        "createdAt": model["createdAt"],
        "prices": {"input": {"price": 2.25e-06}, "output": {"price": 9e-06}},
        "pricingTiers": [
            {
                "id": f"{record.id}-0",
                "name": "Standard",
                "isDefault": True,
                "priority": 0,
                "conditions": [],
                "prices": {"input": 2.25e-06, "output": 9e-06},
            }
        ],
    }
    assert (await api.client.get(f"{MODELS}/{record.id}")).json() == model
    (price,) = (await api.client.get("/v1/prices")).json()["data"]
    assert (price["name"], price["usd_per_million"]) == ("gpt-4o", {"input": "2.25", "output": "9"})


async def test_tiers_and_what_prices_nothing_are_given_back(api: Api) -> None:
    model = await created(api, TIERED)
    given = sorted(TIERS, key=lambda tier: tier["priority"])
    assert [{**tier, "id": ""} for tier in model["pricingTiers"]] == [
        {**tier, "id": ""} for tier in given
    ]
    assert (model["tokenizerId"], model["tokenizerConfig"]) == ("openai", {"tokensPerName": 1})
    assert model["startDate"] == "2026-01-01T00:00:00.000Z"
    assert model["inputPrice"] == 3e-06
    long, flex = api.control.view[Price][model["id"]].tiers
    assert (long.input_above, long.service_tiers) == (200_000, ())
    assert (flex.input_above, flex.service_tiers) == (None, ("flex",))


async def test_a_price_of_ours_is_a_model(api: Api) -> None:
    body = {
        "match": "acme", "usd_per_million": {"input": "1"},
        "tiers": [{"input_above": 9, "service_tiers": ["flex"], "usd_per_million": {"input": "2"}}],
    }  # fmt: skip
    price = (await api.client.post("/v1/prices", json=body)).json()
    model = (await api.client.get(f"{MODELS}/{price['id']}")).json()
    assert (model["modelName"], model["matchPattern"]) == ("acme", "(?i)^(acme)$")
    assert [tier["priority"] for tier in model["pricingTiers"]] == [0, 1]
    assert [each.get("value") for each in model["pricingTiers"][1]["conditions"]] == [9, None]


async def test_put_creates_and_replaces_by_the_id_that_a_client_chooses(api: Api) -> None:
    first = await api.client.put(f"{MODELS}/my-model", json=FLAT)
    theirs = await api.other.put(f"{MODELS}/my-model", json=FLAT | {"modelName": "theirs"})
    assert (first.status_code, theirs.status_code) == (200, 200)
    assert first.json()["id"] == theirs.json()["id"] == "my-model"
    second = await api.client.put(f"{MODELS}/my-model", json=TIERED)
    assert second.json()["modelName"] == "acme"
    assert second.json()["createdAt"] == first.json()["createdAt"]
    assert (await api.client.get(f"{MODELS}/my-model")).json() == second.json()
    assert (await api.other.get(f"{MODELS}/my-model")).json() == theirs.json()
    assert len(api.control.view[Price]) == 2
    deleted = await api.client.delete(f"{MODELS}/my-model")
    assert deleted.json() == {"message": "Model successfully deleted"}
    assert (await api.client.get(f"{MODELS}/my-model")).status_code == 404
    assert (await api.other.get(f"{MODELS}/my-model")).status_code == 200


async def test_models_that_ship_are_managed_and_cannot_be_changed(api: Api) -> None:
    model = (await api.client.get(f"{MODELS}/openai/gpt-4o")).json()
    assert (model["isLangfuseManaged"], model["inputPrice"]) == (True, 2.5e-06)
    put = await api.client.put(f"{MODELS}/openai/gpt-4o", json=FLAT)
    assert (put.status_code, put.json()["message"]) == (400, "Invalid request data")
    assert (await api.client.delete(f"{MODELS}/openai/gpt-4o")).status_code == 404


async def test_prices_of_the_installation_are_managed(api: Api) -> None:
    body = {"match": "acme", "usd_per_million": {"input": "1"}}
    price = (await api.admin.post("/v1/admin/prices", json=body)).json()
    assert (await api.client.get(f"{MODELS}/{price['id']}")).json()["isLangfuseManaged"] is True
    assert (await api.client.delete(f"{MODELS}/{price['id']}")).status_code == 404
    assert (await api.client.put(f"{MODELS}/{price['id']}", json=FLAT)).status_code == 400


async def test_all_models_are_read_in_pages(api: Api) -> None:
    own = [(await created(api, FLAT | {"modelName": f"m{n}"}))["id"] for n in range(3)]
    seen: list[str] = []
    page = 1
    while True:
        answer = (await api.client.get(MODELS, params={"page": str(page), "limit": "100"})).json()
        seen += [model["id"] for model in answer["data"]]
        if page >= answer["meta"]["totalPages"]:
            break
        page += 1
    assert sorted(seen[:3]) == sorted(own)
    assert len(set(seen)) == len(seen) == answer["meta"]["totalItems"] > 2_000
    assert (await api.client.get(MODELS, params={"page": "9999"})).json()["data"] == []
    other = (await api.other.get(MODELS)).json()["data"]
    assert all(model["isLangfuseManaged"] for model in other)


@pytest.mark.parametrize("n", [1, 7, 13, 26])
async def test_every_model_of_a_page_can_be_read_by_its_id(api: Api, n: int) -> None:
    answer = await api.client.get(MODELS, params={"page": str(n), "limit": "100"})
    for model in answer.json()["data"][::20]:
        assert (await api.client.get(f"{MODELS}/{model['id']}")).json() == model


def tier(**fields: Any) -> dict[str, Any]:
    return {"inputPrice": None, "outputPrice": None, "pricingTiers": [STANDARD, TIERS[0] | fields]}


@pytest.mark.parametrize(
    ("fields", "path", "reason"),
    [
        ({"matchPattern": r"(a)\1"}, ["matchPattern"], "backreferences"),
        ({"matchPattern": "("}, ["matchPattern"], "not a regular expression"),
        ({"inputPrice": 1e-13}, ["inputPrice"], "picodollars"),
        ({"inputPrice": -1}, ["inputPrice"], "0 or more"),
        ({"inputPrice": "cheap"}, ["inputPrice"], "decimal"),
        ({"totalPrice": 1}, [], "totalPrice"),
        ({"inputPrice": None, "outputPrice": None}, [], "either"),
        ({"pricingTiers": TIERS}, [], "either"),
        ({"unit": "FURLONGS"}, ["unit"], "TOKENS"),
        ({"startDate": "soon"}, ["startDate"], "ISO 8601"),
        ({"startDate": 5}, ["startDate"], "ISO 8601"),
        ({"tokenizerId": "abacus"}, ["tokenizerId"], "openai"),
        ({"tokenizerConfig": "x" * 5_000}, ["tokenizerConfig"], "4096"),
        ({"modelName": ""}, ["modelName"], "at least 1"),
        (tier(isDefault=True, priority=0, conditions=[]), ["pricingTiers"], "exactly one"),
        (tier(name="Base"), ["pricingTiers"], "unique"),
        (tier(priority=0), ["pricingTiers"], "unique"),
        (tier(conditions=[]), ["pricingTiers", 1], "conditions"),
        (tier(prices={}), ["pricingTiers", 1, "prices"], "at least 1"),
        (tier(prices={"input": 1e-14}), ["pricingTiers", 1, "prices", "input"], "picodollars"),
        (tier(conditions=[FLEX | {"key": "speed"}]), ["pricingTiers", 1], "service_tier"),
        (tier(conditions=[FLEX | {"source": "metadata"}]), ["pricingTiers", 1], "service_tier"),
        (tier(conditions=[LONG | {"operator": "lt"}]), ["pricingTiers", 1], "gt or gte"),
        (tier(conditions=[LONG | {"usageDetailPattern": ".*"}]), ["pricingTiers", 1], "input"),
        (tier(conditions=[LONG | {"usageDetailPattern": "("}]), ["pricingTiers", 1], "regular"),
        (tier(conditions=[LONG | {"value": 1.5}]), ["pricingTiers", 1], "whole number"),
    ],
)
async def test_what_cannot_be_honoured_is_refused_by_its_name(
    api: Api, fields: dict[str, Any], path: list[Any], reason: str
) -> None:
    for answer in (
        await api.client.post(MODELS, json=FLAT | fields),
        await api.client.put(f"{MODELS}/m", json=FLAT | fields),
    ):
        assert answer.status_code == 400, answer.text
        (issue,) = answer.json()["error"]
        assert issue["path"][: len(path)] == path
        assert reason in issue["message"]
    assert api.control.view[Price] == {}


@pytest.mark.parametrize(("version", "names"), [("4.14.3", ["Base", "Long"]), ("4.15.0", None)])
async def test_an_old_python_sdk_gets_no_tiers_that_it_cannot_parse(
    api: Api, version: str, names: list[str] | None
) -> None:
    model = await created(api, TIERED)
    headers = {"X-Langfuse-Sdk-Name": "python", "X-Langfuse-Sdk-Version": version}
    one = (await api.client.get(f"{MODELS}/{model['id']}", headers=headers)).json()
    listed = (await api.client.get(MODELS, headers=headers, params={"limit": 1})).json()["data"][0]
    for found in (one, listed):
        tiers = [each["name"] for each in found["pricingTiers"]]
        assert tiers == (names or [each["name"] for each in model["pricingTiers"]])
