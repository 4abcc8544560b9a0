"""Each route of the query API demands a scope, or is public."""

from __future__ import annotations

import base64

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from deploy.price_explanations import BilledPrices
from producers.control.keys import new_api_key
from producers.control.scopes import SCOPES, Scope
from query_api.app import create_query_api
from query_api.console.links import SIGN_IN
from query_api.console.page import registered
from query_api.console.routes import path_of
from query_api.console.static_files import PREFIX
from query_api.console.trace_links import TRACE_LINK
from query_api.scopes import scopes_of
from query_api.settings import QuerySettings
from tests.query_api.harness import ADMIN_KEY, NOON_US, PROJECT, Api

PUBLIC = {
    "/",
    "/docs",
    "/docs/assets/{name}",
    "/api/public/health",
    "/api/public/ready",
}
APP = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
ROUTES = list(scopes_of(APP))


def test_every_route_demands_a_scope_or_is_public() -> None:
    found = {route.path for route, _, scopes in ROUTES if not scopes}
    # Those of the console check sessions: see tests/query_api/console/test_doors.py.
    assert found == PUBLIC | {
        SIGN_IN,
        TRACE_LINK,
        f"{PREFIX}/{{name}}",
        *map(path_of, registered()),
    }
    others = {
        getattr(each.original_route, "path", "")
        for each in iter_route_contexts(APP.routes)
        if not isinstance(each.original_route, APIRoute)
    }
    assert others == {"/openapi.json"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("route", "method", "demanded"), ROUTES)
async def test_a_credential_with_every_other_scope_is_refused(
    refusing_api: Api, route: APIRoute, method: str, demanded: tuple[Scope, ...]
) -> None:
    if not demanded:
        return
    others = [scope for scope in SCOPES if scope not in demanded]
    path = route.path.replace(":path", "").format(**dict.fromkeys(route.param_convertors, "x"))
    refused = await refusing_api.anonymous.request(
        method, path, auth=key_with(refusing_api, *others)
    )
    assert refused.status_code == 403, refused.text
    assert " or ".join(f"'{scope}'" for scope in demanded) in refused.text
    assert refused.json() == (
        {"message": refused.json()["message"], "error": "ForbiddenError"}
        if path.startswith("/api/public")
        else {"error": {"code": "forbidden", "message": refused.json()["error"]["message"]}}
    )


async def test_a_key_that_reads_may_not_write_and_the_reverse(api: Api) -> None:
    budget = {"name": "b", "period": "day", "limit_usd": "1", "thresholds": [1.0]}
    reads, writes = key_with(api, "read"), key_with(api, "write")
    assert (await api.anonymous.get("/v1/budgets", auth=reads)).status_code == 200
    assert (await api.anonymous.head("/v1/budgets", auth=reads)).status_code == 200
    assert (await api.anonymous.post("/v1/budgets", auth=reads, json=budget)).status_code == 403
    assert (await api.anonymous.post("/v1/budgets", auth=writes, json=budget)).status_code == 201
    assert (await api.anonymous.get("/v1/budgets", auth=writes)).status_code == 403
    assert (await api.anonymous.head("/v1/budgets", auth=writes)).status_code == 403


POST_THAT_READS = {
    "/v1/query",
    "/v1/query/explain",
    "/v1/what-if",
    "/v1/alert-rules/preview",
    "/v1/alert-rules/backtest",
    "/v1/budgets/backtest",
    "/v1/channels/{channel_id}/preview",
}


def test_what_only_reads_demands_the_scope_read_also_by_post() -> None:
    found = {route.path for route, method, scopes in ROUTES if (method, scopes) == READS_BY_POST}
    assert found == POST_THAT_READS


READS_BY_POST = ("POST", ("read",))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {ADMIN_KEY}"},
        {"authorization": "Basic " + base64.b64encode(f"admin:{ADMIN_KEY}".encode()).decode()},
    ],
)
async def test_the_admin_key_sees_the_installation_and_no_project(
    api: Api, headers: dict[str, str]
) -> None:
    assert (await api.anonymous.get("/v1/storage", headers=headers)).status_code == 200
    for path in ("/api/public/traces", "/v1/windows", "/v1/budgets", "/api/public/v2/scores"):
        refused = await api.anonymous.get(path, headers=headers)
        assert refused.status_code == 403
        assert "use the key of a project with the scope 'read'" in refused.text


async def test_an_admin_of_a_project_does_not_see_the_storage_of_all(api: Api) -> None:
    refused = await api.anonymous.get("/v1/storage", auth=key_with(api, *SCOPES))
    assert refused.status_code == 403
    assert "installation's admin key" in refused.json()["error"]["message"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("wrong", [ADMIN_KEY[:-1], ADMIN_KEY + "x", ADMIN_KEY.upper(), ""])
async def test_another_text_than_the_admin_key_is_unknown(refusing_api: Api, wrong: str) -> None:
    answer = await refusing_api.anonymous.get("/v1/storage", auth=("admin", wrong))
    assert answer.status_code == 401


def key_with(api: Api, *scopes: Scope) -> httpx.BasicAuth:
    """Add a key of ``PROJECT``."""
    name = "-".join(scopes)
    key = new_api_key(
        key_id=name,
        project_id=PROJECT,
        public_key=f"pk-{name}",
        secret="s",
        created_us=NOON_US,
        scopes=scopes,
    )
    api.control.keep(key)
    return httpx.BasicAuth(f"pk-{name}", "s")
