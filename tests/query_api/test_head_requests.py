"""`HEAD` on every path that takes `GET`: the same status and headers, and no body."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.query_api.harness import Api, make_api
from tests.query_api.test_openapi_document import DOCUMENT

ASSETS = "/docs/assets/{name}"
FILLED = {ASSETS: "/docs/assets/swagger-ui.css"}
QUERIES = {
    "as it is": {},
    "an unknown parameter": {"nonsense": "1"},
    "a wrong parameter": {"limit": "none", "from": "yesterday"},
    "times and a step": {
        "from": "2026-11-21T00:00:00Z",
        "to": "2026-11-22T00:00:00Z",
        "step": "1h",
    },
}
VARYING = {"date"}


def get_paths() -> list[str]:
    api, _ = make_api(None)  # type: ignore[arg-type]
    app: Any = api.client._transport.app  # type: ignore[attr-defined]
    return sorted({route.path for route in _routes(app.routes) if "GET" in (route.methods or ())})


def _routes(routes: list[Any]) -> list[Any]:
    found = []
    for route in routes:
        if hasattr(route, "methods"):
            found.append(route)
        inner = getattr(route, "routes", None) or getattr(
            getattr(route, "original_router", None), "routes", None
        )
        found += _routes(inner or [])
    return found


PATHS = get_paths()


def filled(path: str) -> str:
    return FILLED.get(path) or re.sub(r"\{[^}]*\}", "some-id", path)


def headers_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in VARYING}


def test_all_documented_paths_are_among_those_asked() -> None:
    documented = {filled(path) for path, item in DOCUMENT["paths"].items() if "get" in item}
    assert documented <= set(map(filled, PATHS))
    assert {"/", "/docs", "/openapi.json", ASSETS} <= set(PATHS)


@pytest.mark.parametrize("how", QUERIES)
async def test_head_responds_like_get_without_a_body(api: Api, how: str) -> None:
    for client in (api.client, api.anonymous):
        for path in PATHS:
            asked = await client.get(filled(path), params=QUERIES[how])
            head = await client.head(filled(path), params=QUERIES[how])
            assert head.status_code == asked.status_code, path
            assert head.content == b"", path
            assert headers_of(head) == headers_of(asked), path


async def test_head_of_what_takes_no_get_is_a_405_that_lists_methods(api: Api) -> None:
    refused = await api.client.head("/v1/nowhere")
    assert refused.status_code == 404
    for path, item in DOCUMENT["paths"].items():
        if "get" not in item:
            refused = await api.client.head(filled(path))
            assert refused.status_code in {404, 405}, path


async def test_methods_that_are_listed_contain_head_where_they_contain_get(api: Api) -> None:
    for path in PATHS:
        listed = await api.client.request("OPTIONS", filled(path))
        assert {"GET", "HEAD"} <= set(listed.headers["allow"].split(", ")), path
        refused = await api.client.request("COPY", filled(path))
        assert refused.status_code == 405, path
        assert {"GET", "HEAD"} <= set(refused.headers["allow"].split(", ")), path


def test_the_description_has_no_operations_of_its_own_for_head() -> None:
    operations = [
        operation["operationId"]
        for item in DOCUMENT["paths"].values()
        for operation in item.values()
    ]
    assert len(operations) == len(set(operations))
    assert not any("head" in item for item in DOCUMENT["paths"].values())
