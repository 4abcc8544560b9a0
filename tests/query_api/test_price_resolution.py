"""`GET /v1/prices/resolve` explains the cost of a call by the rules that bill it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.core.pricing.price_book import PriceBook
from tests.query_api.harness import Api

PATH = "/v1/prices/resolve"
AT = "2026-11-21T12:00:00Z"
AT_US = 1_795_262_400_000_000


async def resolved(api: Api, **query: object) -> dict[str, Any]:
    params = {
        name: json.dumps(value) if isinstance(value, dict) else str(value)
        for name, value in query.items()
    }
    answer = await api.client.get(PATH, params={"at": AT, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_price_and_the_cost_of_a_call_are_explained(api: Api) -> None:
    usage = {
        "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
        "prompt_tokens_details": {"cached_tokens": 400},
    }  # fmt: skip
    found = await resolved(api, model="gpt-4o", usage=usage)
    assert (found["cost_usd"], found["price"]["id"]) == ("0.003", "openai/gpt-4o")
    assert (found["price"]["origin"], found["price"]["as_of"][:2]) == ("shipped", "20")
    assert [(each["count"], each["priced_as"], each["cost_usd"]) for each in found["amounts"]] == [
        (600, "input", "0.0015"), (400, "cache_read", "0.0005"), (100, "output", "0.001"),
    ]  # fmt: skip
    billed = PriceBook().cost_of("p", "gpt-4o", found["usage"], AT_US)
    assert billed.total_pico == 3_000_000_000


async def test_a_cost_that_the_usage_states_is_shown_beside_the_computed_one(api: Api) -> None:
    found = await resolved(api, model="gpt-4o", usage={"prompt_tokens": 1000, "cost": 0.007})
    assert (found["cost_usd"], found["stated_cost_usd"]) == ("0.0025", "0.007")
    assert (await resolved(api, model="gpt-4o", usage={"input": 1}))["stated_cost_usd"] is None


async def test_a_projects_price_comes_before_the_installations_and_that_before_the_list(
    api: Api,
) -> None:
    body = {"match": "gpt-4o", "usd_per_million": {"input": "4"}}
    of_all = (await api.admin.post("/v1/admin/prices", json=body)).json()["id"]
    usage = {"input": 1_000_000}
    found = await resolved(api, model="gpt-4o", usage=usage)
    assert (found["price"]["id"], found["cost_usd"]) == (of_all, "4")
    body = {"match": "gpt-4.*", "usd_per_million": {"input": "1"}}
    own = (await api.client.post("/v1/prices", json=body)).json()["id"]
    found = await resolved(api, model="gpt-4o", usage=usage)
    assert (found["price"]["origin"], found["cost_usd"]) == ("project", "1")
    assert [(each["id"], each["outcome"]) for each in found["candidates"]] == [
        (own, "applies"),
        (of_all, "the project's price comes first"),
        ("openai/gpt-4o", "the project's price comes first"),
    ]
    other = await api.other.get(PATH, params={"model": "gpt-4o", "usage": json.dumps(usage)})
    assert other.json()["price"]["id"] == of_all, "another project has no such price"
    assert (await api.client.delete(f"/v1/prices/{own}")).status_code == 204
    assert (await resolved(api, model="gpt-4o", usage=usage))["price"]["id"] == of_all


async def test_conditions_select_the_rates(api: Api) -> None:
    usage = {"input": 1000, "output": 100}
    flex = await resolved(api, model="gpt-5-mini", usage=usage, service_tier="flex")
    assert (flex["cost_usd"], flex["conditions"]) == ("0.000225", {"service_tier": "flex"})
    assert [each["when"] for each in flex["tiers"]] == [{"service_tier": "flex"}]
    long = await resolved(api, model="gemini-2.5-pro", usage={"input": 200_001})
    assert long["above_input_tokens"] == 200_000


async def test_the_time_selects_the_price(api: Api) -> None:
    body = {
        "match": "acme-1",
        "effective_from": "2026-11-22T00:00:00Z",
        "usd_per_million": {"input": "1"},
    }
    assert (await api.client.post("/v1/prices", json=body)).status_code == 201
    before = await resolved(api, model="acme-1", usage={"input": 1})
    assert (before["price"], before["cost_usd"]) == (None, None)
    assert before["reason"] == "no price that fits the name is in force at this time"
    assert before["candidates"][0]["outcome"] == "not yet in force at this time"
    after = await resolved(api, model="acme-1", usage={"input": 1}, at="2026-11-22T00:00:00Z")
    assert after["cost_usd"] == "0.000001"


async def test_a_provider_is_read_like_a_prefix(api: Api) -> None:
    found = await resolved(api, model="claude-sonnet-4-5", provider="bedrock")
    named = await resolved(api, model="bedrock/claude-sonnet-4-5")
    assert found == named
    assert found["cost_usd"] is None
    assert found["usd_per_million"]


async def test_what_has_no_price_is_named(api: Api) -> None:
    found = await resolved(api, model="gpt-4o", usage={"input": 1, "input_audio_tokens": 5})
    assert [(each["usage_type"], each["reason"]) for each in found["unpriced"]] == [
        ("input_audio_tokens", "the price does not list input_audio")
    ]
    assert found["cost_usd"] == "0.0000025"
    unknown = await resolved(api, model="no-such-model", usage={"input": 5})
    assert (unknown["reason"], unknown["cost_usd"]) == ("no price fits the name of the model", None)
    assert [each["count"] for each in unknown["unpriced"]] == [5]


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ({}, "model", "required"),
        ({"model": ""}, "model", "at least 1"),
        ({"model": "m" * 201}, "model", "200"),
        ({"model": "m" * 198, "provider": "openai"}, "model", "with the provider"),
        ({"model": "m", "usage": "{"}, "usage", "not JSON"),
        ({"model": "m", "usage": "[1]"}, "usage", "JSON object"),
        ({"model": "m", "usage": '{"input": -1}'}, "usage.input", "whole number"),
        ({"model": "m", "usage": '{"input": 1.5}'}, "usage.input", "whole number"),
        ({"model": "m", "usage": '{"input": "many"}'}, "usage", "no counts"),
        ({"model": "m", "usage": "{" + " " * 20_000 + "}"}, "usage", "20000"),
        ({"model": "m", "at": "yesterday"}, "at", "ISO 8601"),
        ({"model": "m", "at": "2026-11-21T12:00:00"}, "at", "offset"),
        ({"model": "m", "service_tier": "t" * 101}, "service_tier", "100"),
        ({"model": "m", "provider": "a/b"}, "provider", "pattern"),
        ({"model": "m", "tier": "flex"}, "tier", "unknown parameter"),
    ],
)
async def test_an_error_names_the_parameter(
    api: Api, query: dict[str, str], field: str, reason: str
) -> None:
    answer = await api.client.get(PATH, params=query)
    error = answer.json()["error"]
    assert answer.status_code in (400, 422)
    assert error["field"] == field
    assert reason in error["message"]
