"""Values of bodies are not converted, and numbers are within the range of doubles."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel

from deploy.price_explanations import BilledPrices
from query_api.app import create_query_api
from query_api.body import Body
from query_api.settings import QuerySettings
from tests.query_api.harness import PROJECT, Api

LIMITS = f"/v1/admin/projects/{PROJECT}/limits"
KEYS = f"/v1/admin/projects/{PROJECT}/keys"
PRICE = {"name": "n", "match": "m", "usd_per_million": {"input": "1"}}
BUDGET = {"name": "n", "period": "day", "limit_usd": "1"}
MODEL = {"modelName": "m", "matchPattern": "m", "unit": "TOKENS", "inputPrice": 1e-6}
TIER = {
    "name": "t", "isDefault": False, "priority": 1, "prices": {"input": 1e-6},
    "conditions": [{"usageDetailPattern": "^input", "operator": "gt", "value": 7}],
}  # fmt: skip
DEFAULT_TIER = TIER | {"name": "d", "isDefault": True, "priority": 0, "conditions": []}
NOT_A_NUMBER = ["true", "false", '"1"', '""', "[]", "{}", "NaN", "Infinity", "-Infinity", "1e309"]
NOT_WHOLE = [*NOT_A_NUMBER, "1.5", "-1"]


def json_of(body: object, value: str) -> bytes:
    """Encode a body with ``value`` in place of ``"VALUE"``; Python writes no such number itself."""
    return json.dumps(body).replace('"VALUE"', value).encode()


def tiers(field: str) -> dict[str, Any]:
    priced = {name: value for name, value in MODEL.items() if name != "inputPrice"}
    return priced | {"pricingTiers": [DEFAULT_TIER, TIER | {field: "VALUE"}]}


FIELDS = [
    ("post", f"{KEYS}/key-{PROJECT}/rotate", {"overlap_s": "VALUE"}, NOT_WHOLE),
    *[("put", LIMITS, {name: "VALUE"}, NOT_A_NUMBER) for name in ("events_per_s", "bytes_per_s",
        "burst_s")],
    *[("put", LIMITS, {name: "VALUE"}, NOT_WHOLE) for name in ("quota_events", "quota_bytes")],
    ("post", "/v1/prices",
        PRICE | {"tiers": [{"input_above": "VALUE", "usd_per_million": {"input": "1"}}]},
        NOT_WHOLE),
    ("post", "/v1/prices", PRICE | {"usd_per_million": {"input": "VALUE"}},
        [each for each in NOT_A_NUMBER if each != '"1"']),
    ("post", "/v1/budgets", BUDGET | {"limit_usd": "VALUE"},
        [each for each in NOT_A_NUMBER if each != '"1"']),
    ("post", "/v1/budgets", BUDGET | {"thresholds": ["VALUE"]},
        [each for each in NOT_A_NUMBER if each != '"1"']),
    ("post", "/api/public/models", MODEL | {"inputPrice": "VALUE"},
        [each for each in NOT_A_NUMBER if each != '"1"']),
    ("post", "/api/public/models", tiers("priority"), NOT_WHOLE),
    ("post", "/api/public/models", tiers("isDefault"), ["1", "0", '"true"', '"false"', "null"]),
    ("post", "/api/public/projects", {"name": "n", "retention": "VALUE"}, NOT_WHOLE),
]  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "body", "values"), FIELDS)
async def test_other_types_than_the_fields_are_refused(
    refusing_api: Api, method: str, path: str, body: dict[str, Any], values: list[str]
) -> None:
    client = (
        refusing_api.admin
        if path.startswith(("/v1/admin", "/api/public/projects"))
        else refusing_api.client
    )
    for value in values:
        content, headers = json_of(body, value), {"content-type": "application/json"}
        refused = await client.request(method, path, content=content, headers=headers)
        expected = 400 if path.startswith("/api/public") else 422
        assert refused.status_code == expected, (value, refused.text)
        if path.startswith("/v1"):
            assert refused.json()["error"]["field"], value


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e309", "[[-1e309]]", '"\\ud800"'])
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("post", "/v1/admin/projects", {"name": "n", "metadata": {"a": "VALUE"}}, "metadata"),
        ("patch", f"/v1/admin/projects/{PROJECT}", {"metadata": {"a": "VALUE"}}, "metadata"),
        ("post", "/api/public/projects", {"name": "n", "metadata": {"a": "VALUE"}}, "metadata"),
        ("post", "/api/public/models", MODEL | {"tokenizerConfig": {"a": "VALUE"}},
            "tokenizerConfig"),
    ],
)  # fmt: skip
async def test_no_number_becomes_null_silently(
    refusing_api: Api, method: str, path: str, body: dict[str, Any], field: str, value: str
) -> None:
    client = refusing_api.client if path.endswith("models") else refusing_api.admin
    content, headers = json_of(body, value), {"content-type": "application/json"}
    refused = await client.request(method, path, content=content, headers=headers)
    assert refused.status_code in {400, 422}, refused.text
    assert field in refused.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "value", ["true", "1_0", " 1", "1 ", "+1", "inf", "nan", "1e309", "0x1", "١"]
)
@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/api/public/v2/scores", {"value": "VALUE", "operator": ">"}),
        ("/api/public/v3/scores", {"valueMin": "VALUE", "dataType": "NUMERIC"}),
        ("/api/public/v3/scores", {"valueMax": "VALUE", "dataType": "NUMERIC"}),
        ("/api/public/v3/scores", {"value": "1,xVALUE", "dataType": "NUMERIC"}),
        ("/api/public/traces", {"page": "VALUE"}),
        ("/v1/alerts", {"limit": "VALUE"}),
    ],
)
async def test_a_number_in_a_query_is_written_in_digits(
    refusing_api: Api, path: str, parameters: dict[str, str], value: str
) -> None:
    given = {name: text.replace("VALUE", value) for name, text in parameters.items()}
    refused = await refusing_api.client.get(path, params=given)
    assert refused.status_code == (400 if path.startswith("/api/public") else 422), refused.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("value", ["1", "-1.5", "1e-3", ".5", "2.", "1E+2"])
async def test_usual_notations_are_accepted(refusing_api: Api, value: str) -> None:
    found = await refusing_api.client.get("/api/public/v2/scores", params={"value": value})
    assert found.status_code == 200, found.text


def test_every_body_has_the_base_class_that_converts_nothing() -> None:
    app = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
    bodies = {
        parameter.field_info.annotation
        for each in iter_route_contexts(app.routes)
        if isinstance(each.original_route, APIRoute)
        for parameter in each.original_route.dependant.body_params
    }
    models = [each for each in bodies if isinstance(each, type) and issubclass(each, BaseModel)]
    assert len(models) == len(bodies) >= 9
    assert all(issubclass(each, Body) for each in models)
