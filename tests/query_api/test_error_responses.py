import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, generate_latest

from clickhouse.errors import QueryLimitReached, QueryRejected, StoreUnavailable
from query_api.settings import QuerySettings
from tests.query_api.counting import reached
from tests.query_api.harness import Api, make_api, trace

LANGFUSE_LISTS = (
    "/api/public/traces",
    "/api/public/observations",
    "/api/public/v2/observations",
    "/api/public/scores",
    "/api/public/v2/scores",
)
COUNTED = (
    "tracemill_query_requests_total",
    {"route": "/api/public/traces/{traceId:path}", "status": "404"},
)
NATIVE_LISTS = ("/v1/windows", "/v1/alerts", "/v1/dead-letters")


@pytest.mark.parametrize("path", [*LANGFUSE_LISTS, "/api/public/projects"])
async def test_without_a_credential_the_langfuse_api_responds_with_401(api: Api, path: str) -> None:
    refused = await api.anonymous.get(path)
    assert refused.status_code == 401
    assert refused.json() == {"message": "No authorization header", "error": "UnauthorizedError"}
    wrong = await api.anonymous.get(path, auth=("pk-acme", "sk-globex"))
    assert (wrong.status_code, "Invalid credentials" in wrong.json()["message"]) == (401, True)


@pytest.mark.parametrize(
    "path", [*NATIVE_LISTS, "/v1/budgets", "/v1/webhooks", "/v1/storage", "/v1/traces/t/tree"]
)
async def test_without_a_credential_the_native_api_responds_with_401(api: Api, path: str) -> None:
    refused = await api.anonymous.get(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")
    assert refused.headers["www-authenticate"] == "Basic"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "annotation-queues", "annotation queues"),
        ("POST", "annotation-queues", "annotation queues"),
        ("PATCH", "annotation-queues/q/items/i", "annotation queues"),
        ("POST", "annotation-queues/q/assignments", "annotation queues"),
        ("POST", "feedback", "feedback"),
        ("PUT", "integrations/blob-storage", "exports"),
        ("DELETE", "integrations/blob-storage/i", "exports"),
        ("PUT", "llm-connections", "connections to models"),
        ("DELETE", "llm-connections/c", "connections to models"),
        ("PUT", "organizations/memberships", "organizations"),
        ("GET", "organizations/apiKeys/", "organizations"),
        ("PUT", "projects/p/memberships", "members of projects"),
        ("POST", "scim/Users", "SCIM"),
        ("POST", "unstable/dashboards", "dashboards"),
        ("PATCH", "unstable/dashboards/d/placements/p", "dashboards"),
        ("POST", "unstable/dashboard-widgets", "dashboards"),
        ("POST", "unstable/skills", "skills"),
        ("POST", "v2/evaluators", "evaluators"),
        ("DELETE", "v2/evaluation-rules/r", "evaluation rules"),
    ],
)
async def test_calls_of_sdks_that_are_not_served_say_what_is_not(
    refusing_api: Api, method: str, path: str, what: str
) -> None:
    answer = await refusing_api.client.request(method, f"/api/public/{path}", json={})
    assert (answer.status_code, answer.json()["error"]) == (404, "NotServedError")
    message = answer.json()["message"]
    assert message.startswith("tracemill does not serve ")
    assert what in message
    assert f"{method} /api/public/{path.rstrip('/')}" in message
    assert "allow" not in answer.headers


async def test_a_public_key_alone_reads_nothing(api: Api) -> None:
    header = {"authorization": "Bearer pk-acme"}
    for path in (*LANGFUSE_LISTS, *NATIVE_LISTS, "/v1/storage"):
        assert (await api.anonymous.get(path, headers=header)).status_code == 403


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"page": "0"}, ["page"]),
        ({"page": "x"}, ["page"]),
        ({"page": str(10**30)}, ["page"]),
        ({"limit": "101"}, ["limit"]),
        ({"limit": "1_0"}, ["limit"]),
        ({"limit": " 1 "}, ["limit"]),
        ({"page": "+1"}, ["page"]),
        ({"page": "\u0661"}, ["page"]),
        ({"fromTimestamp": "soon"}, ["fromTimestamp"]),
        ({"fromTimestamp": "2026-11-21T12:00:00"}, ["fromTimestamp"]),
        ({"toTimestamp": "0001-01-01T00:00:00+23:59"}, ["toTimestamp"]),
        ({"orderBy": "cost.desc"}, ["orderBy"]),
        ({"orderBy": "timestamp.sideways"}, ["orderBy"]),
        ({"filter": "["}, ["filter"]),
        ({"filter": '[{"type":"string","column":"secret","operator":"=","value":"x"}]'},
            ["filter[0].column"]),
    ],
)  # fmt: skip
async def test_a_malformed_parameter_is_an_issue_with_its_path(
    api: Api, params: dict[str, str], path: list[str]
) -> None:
    refused = await api.client.get("/api/public/traces", params=params)
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid request data")
    assert refused.json()["error"][0]["path"] == path


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        ({"key": "best"}, "filter[0].key"),
        ({"key": "nthFromEnd", "value": 0}, "filter[0].value"),
        ({"key": "nthFromStart", "value": 1.5}, "filter[0].value"),
        ({"key": "nthFromStart"}, "filter[0].value"),
        ({"key": "last", "operator": ">"}, "filter[0].operator"),
        ({"key": "last", "column": "name"}, "filter[0].type"),
    ],
)
async def test_the_error_for_an_invalid_position_names_it(
    api: Api, entry: dict[str, object], path: str
) -> None:
    place = {"type": "positionInTrace", "column": "positionInTrace", "operator": "=", **entry}
    refused = await api.client.get(
        "/api/public/observations", params={"filter": json.dumps([place])}
    )
    assert refused.status_code == 400
    assert refused.json()["error"][0]["path"] == [path]


async def test_unknown_parameters_are_ignored_by_langfuse_routes_and_refused_by_v1(
    api: Api,
) -> None:
    for path in LANGFUSE_LISTS:
        assert (await api.client.get(path, params={"frobnicate": "1"})).status_code == 200
    for path in (*NATIVE_LISTS, "/v1/budgets", "/v1/webhooks"):
        refused = await api.client.get(path, params={"frobnicate": "1"})
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "frobnicate")


async def test_a_single_parameter_that_is_repeated_is_refused_by_v1(api: Api) -> None:
    for path, name in (("/v1/alerts", "limit"), ("/v1/windows", "to")):
        refused = await api.client.get(path, params={name: ["1", "1"]})
        message = f"{name}: given 2 times; once is allowed"
        assert (refused.status_code, refused.json()["error"]["message"]) == (422, message)


async def test_an_unknown_path_is_answered_in_the_format_of_its_api(api: Api) -> None:
    native = await api.client.get("/v1/nothing")
    assert native.status_code == 404
    assert native.json() == {
        "error": {"code": "not_found", "message": "no such route: GET /v1/nothing"}
    }
    langfuse = await api.client.get("/api/public/v3/nothing?page=1")
    assert langfuse.status_code == 404
    assert langfuse.json() == {
        "message": "no such route: GET /api/public/v3/nothing",
        "error": "LangfuseNotFoundError",
    }


async def test_a_wrong_method_gets_the_allowed_ones(api: Api) -> None:
    native = await api.client.post("/v1/budgets/b")
    assert (native.status_code, native.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")
    assert native.json() == {
        "error": {
            "code": "method_not_allowed",
            "message": "no such route: POST /v1/budgets/b; this path allows DELETE, GET, PATCH,"
            " PUT",
            "allowed": ["DELETE", "GET", "PATCH", "PUT"],
        }
    }
    langfuse = await api.client.put("/api/public/scores")
    assert (langfuse.status_code, langfuse.headers["allow"]) == (405, "GET, HEAD, POST")
    assert langfuse.json() == {
        "message": "no such route: PUT /api/public/scores; this path allows GET, POST",
        "error": "MethodNotAllowedError",
    }
    gateways = await api.client.get("/v1/traces")
    assert (gateways.status_code, gateways.headers["allow"]) == (405, "DELETE, POST")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"name":"' + b"x" * 70_000, 413, "too_large"),
        (b"[" * 60_000, 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
        (b"nonsense", 400, "invalid_json"),
        (b"", 422, "invalid_request"),
        (b"null", 422, "invalid_request"),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    api: Api, body: bytes, status: int, code: str
) -> None:
    for path in ("/v1/budgets", "/v1/webhooks"):
        refused = await api.client.post(
            path, content=body, headers={"content-type": "application/json"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "encoding", "fault"),
    [
        (b"{", "identity", "not JSON"),
        (b"\xff", "identity", "UTF-8"),
        (gzip.compress(b"{}", mtime=0), "gzip", "compressed (gzip)"),
        (gzip.compress(b"{}", mtime=0), "identity", "UTF-8"),
        (b'{"limit_usd":' + b"1" * 5_000 + b"}", "identity", "too many digits"),
        (b"[" * 10_000, "identity", "nested too deeply"),
    ],
)
async def test_a_body_that_cannot_be_read_is_named_with_its_fault(
    api: Api, body: bytes, encoding: str, fault: str
) -> None:
    headers = {"content-type": "application/json", "content-encoding": encoding}
    refused = await api.client.post("/v1/budgets", content=body, headers=headers)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["field"], fault in error["message"]) == (
        "invalid_json",
        "body",
        True,
    )


@pytest.mark.parametrize("pause_s", [60.0, 0.02], ids=["stalled", "dripping"])
async def test_a_body_that_does_not_end_in_time_is_refused(api: Api, pause_s: float) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        while True:
            await asyncio.sleep(pause_s)
            yield b" "

    before = reached("body_timeout_s")
    hasty, clients = make_api(api.store, QuerySettings(body_timeout_s=0.2))
    for path in ("/v1/budgets", "/v1/webhooks"):
        refused = await hasty.client.post(
            path, content=slowly(), headers={"content-type": "application/json"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (408, "timeout")
        assert refused.json()["error"]["field"] == "body"
        assert refused.headers["connection"] == "close"
    assert reached("body_timeout_s") == before + 2
    for client in clients:
        await client.aclose()


async def test_two_credentials_are_refused(api: Api) -> None:
    basic = httpx.BasicAuth("pk-acme", "sk-acme")
    signed = next(basic.auth_flow(httpx.Request("GET", "http://tracemill/")))
    header = ("authorization", signed.headers["authorization"])
    for path in (*LANGFUSE_LISTS, *NATIVE_LISTS, "/v1/storage"):
        assert (await api.anonymous.get(path, headers=[header])).status_code in {200, 403}
        refused = await api.anonymous.get(path, headers=[header, header])
        assert refused.status_code == 401
        assert "More than one authorization header" in refused.text


async def test_a_slash_at_the_end_is_no_redirect(api: Api) -> None:
    for path in ("/v1/budgets/", "/v1/webhooks/"):
        answer = await api.client.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 200
        assert "location" not in answer.headers


async def test_requests_are_counted_by_route_and_never_by_id(api: Api) -> None:
    before = REGISTRY.get_sample_value(*COUNTED) or 0
    await api.client.get("/api/public/traces/some-secret-id")
    assert REGISTRY.get_sample_value(*COUNTED) == before + 1
    assert "some-secret-id" not in generate_latest().decode()


class BrokenStore:
    """Raises what it is given, whatever is asked."""

    database = "none"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def query(self, *_: object, **__: object) -> list[dict[str, Any]]:
        raise self.error

    async def query_bytes(self, *_: object, **__: object) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "status", "langfuse", "native"),
    [
        (StoreUnavailable("gone"), 503, "ServiceUnavailable", "unavailable"),
        (
            QueryLimitReached(158, "too many rows\nstack"),
            422,
            "Request timed out",
            "query_too_costly",
        ),
        (QueryRejected(62, "syntax"), 500, "InternalServerError", "internal_error"),
    ],
)
async def test_an_error_of_the_store_has_the_same_answer_on_every_route(
    error: Exception, status: int, langfuse: str, native: str
) -> None:
    api, clients = make_api(BrokenStore(error))  # type: ignore[arg-type]
    for path in LANGFUSE_LISTS:
        refused = await api.client.get(path)
        assert (refused.status_code, refused.json()["error"]) == (status, langfuse)
        assert ("retry-after" in refused.headers) == (status == 503)
        assert "stack" not in refused.text
    for path in (*NATIVE_LISTS, "/v1/storage"):
        refused = await api.client_for(path).get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, native)
        assert ("retry-after" in refused.headers) == (status == 503)
    for client in clients:
        await client.aclose()


async def test_a_query_that_reads_more_than_its_bound_is_refused_by_the_store(api: Api) -> None:
    await api.insert(*(trace(f"t{number}") for number in range(50)))
    bounded, clients = make_api(api.store, QuerySettings(rows_to_read_max=10))
    refused = await bounded.client.get("/api/public/traces")
    assert (refused.status_code, refused.json()["error"]) == (422, "Request timed out")
    for client in clients:
        await client.aclose()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/alert-rules/preview", "OPTIONS, POST"),
        ("/v1/budgets/backtest", "OPTIONS, POST"),
        ("/v1/budgets/decision", "GET, HEAD, OPTIONS"),
        ("/v1/prices/defaults", "GET, HEAD, OPTIONS"),
        ("/v1/budgets/bud_1", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ],
)
async def test_an_action_next_to_records_lists_only_its_own_methods(
    refusing_api: Api, path: str, methods: str
) -> None:
    listed = await refusing_api.client.request("OPTIONS", path)
    assert (listed.status_code, listed.headers["allow"]) == (204, methods)
