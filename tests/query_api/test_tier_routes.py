"""Tiers of users: set one or many, read, list in pages and remove."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from query_api.settings import QuerySettings
from tests.query_api.counting import reached
from tests.query_api.harness import Api, make_api

ODD_IDS = ["a/b", "/", "a//b/", "ü@x.de", "a b", "100%", "a%2Fb", "?x=1#y", "x" * 1000]


@pytest.mark.parametrize("user_id", ODD_IDS)
async def test_any_user_can_have_a_tier(api: Api, user_id: str) -> None:
    path = f"/v1/tiers/{quote(user_id, safe='')}"
    assert (await api.client.get(path)).status_code == 404
    written = await api.client.put(path, json={"tier": "pro"})
    assert written.status_code == 200, written.text
    assert written.json() == {"user_id": user_id, "tier": "pro"}
    assert (await api.client.get(path)).json() == {"user_id": user_id, "tier": "pro"}
    assert (await api.client.put(path, json={"tier": "free"})).status_code == 200
    assert (await api.client.get("/v1/tiers")).json()["data"] == [
        {"user_id": user_id, "tier": "free"}
    ]
    assert (await api.other.get(path)).status_code == 404, "other projects have their own users"
    assert (await api.client.delete(path)).status_code == 204
    assert (await api.client.delete(path)).status_code == 404
    assert (await api.client.get("/v1/tiers")).json()["data"] == []


async def test_a_slash_need_not_be_encoded(api: Api) -> None:
    assert (await api.client.put("/v1/tiers/a/b", json={"tier": "pro"})).status_code == 200
    assert (await api.client.get("/v1/tiers/a%2Fb")).json()["tier"] == "pro"


async def test_many_are_set_at_once_and_listed_in_pages(api: Api) -> None:
    tiers: dict[str, str] = {f"u{n:03}": ("free", "pro")[n % 3 == 0] for n in range(100)}
    body = {"data": [{"user_id": user, "tier": tier} for user, tier in tiers.items()]}
    body["data"].reverse()
    assert (await api.client.put("/v1/tiers", json=body)).json() == {"written": 100}
    for parameters, expected in (
        ({"limit": 7}, tiers),
        ({"limit": 10, "tier": "pro"}, {u: t for u, t in tiers.items() if t == "pro"}),
        ({"tier": "none"}, {}),
    ):
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await api.client.get("/v1/tiers", params=parameters | cursor)).json()
            found += page["data"]
            if not page["meta"]["has_more"]:
                break
            cursor = {"cursor": page["meta"]["cursor"]}
        assert found == [{"user_id": u, "tier": t} for u, t in expected.items()]
    removal = {"data": [{"user_id": user, "tier": None} for user in tiers]}
    assert (await api.client.put("/v1/tiers", json=removal)).json() == {"written": 100}
    assert (await api.client.get("/v1/tiers")).json()["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("PUT", "/v1/tiers/u", {}, "tier"),
        ("PUT", "/v1/tiers/u", {"tier": ""}, "tier"),
        ("PUT", "/v1/tiers/u", {"tier": None}, "tier"),
        ("PUT", "/v1/tiers/u", {"tier": 1}, "tier"),
        ("PUT", "/v1/tiers/u", {"tier": "x" * 101}, "tier"),
        ("PUT", "/v1/tiers/u", {"tier": "pro", "more": 1}, "more"),
        ("PUT", f"/v1/tiers/{'x' * 1001}", {"tier": "pro"}, "user_id"),
        ("PUT", "/v1/tiers", {"data": []}, "data"),
        ("PUT", "/v1/tiers", {"data": [{"user_id": "", "tier": "a"}]}, "data.0.user_id"),
        ("PUT", "/v1/tiers", {"data": [{"user_id": "u"}]}, "data.0.tier"),
        ("PUT", "/v1/tiers", {"data": [{"user_id": "u", "tier": "a"}] * 1001}, "data"),
        ("GET", "/v1/tiers?limit=1001", None, "limit"),
        ("GET", "/v1/tiers?cursor=x", None, "cursor"),
        ("GET", "/v1/tiers?user=x", None, "user"),
    ],
)
async def test_a_bad_request_names_the_field(
    api: Api, method: str, path: str, body: Any, field: str
) -> None:
    refused = await api.client.request(method, path, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["error"]["field"] == field


@pytest.mark.parametrize(
    "body", [b'{"tier":"\\ud800"}', b'{"data":[{"user_id":"\\ud800","tier":"a"}]}']
)
async def test_a_text_that_is_not_unicode_is_refused(api: Api, body: bytes) -> None:
    path = "/v1/tiers/u" if b"data" not in body else "/v1/tiers"
    refused = await api.client.put(path, content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422, refused.text


async def test_the_users_of_one_request_are_limited(api: Api) -> None:
    small, clients = make_api(api.store, QuerySettings(tiers_per_request_max=1))
    before = reached("tiers_per_request_max")
    body = {"data": [{"user_id": user, "tier": "a"} for user in "uv"]}
    assert (await small.client.put("/v1/tiers", json=body)).status_code == 422
    assert reached("tiers_per_request_max") == before + 1
    for client in clients:
        await client.aclose()
