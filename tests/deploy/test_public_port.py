"""Gateway and query API on one port: statuses are documented, and paths list their methods."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from deploy.embedded.ports import free_ports
from deploy.probes import probe_routes
from deploy.processes.edge import by_path
from deploy.serving import serving
from producers.gateway.app import Gateway
from producers.options_requests import ServeOptionsRequests
from producers.settings import GatewaySettings, KafkaSettings
from tests.bench.fuzz_doors.run import AcknowledgingPublisher
from tests.query_api.harness import PROJECT, make_api
from tests.query_api.test_openapi_document import DOCUMENT

KEYS = (f"pk-{PROJECT}", f"sk-{PROJECT}")
OPERATIONS = [
    (method.upper(), path, set(operation["responses"]))
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
]
WITHOUT_BODY = {
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in {"post", "delete"} and "requestBody" not in operation
}
OPEN = {"/api/public/health", "/api/public/ready"}
LONG = "x" * 70_000


@pytest.fixture
async def server() -> AsyncIterator[httpx.AsyncClient]:
    api, _ = make_api(None)  # type: ignore[arg-type]
    publisher = AcknowledgingPublisher(KafkaSettings(), GatewaySettings())
    gateway = Gateway(KafkaSettings(), GatewaySettings(), api.control, publisher)  # type: ignore[arg-type]
    query = api.client._transport.app  # type: ignore[attr-defined]

    async def report() -> dict[str, str]:
        return {}

    probes = ServeOptionsRequests(Starlette(routes=probe_routes(report)))
    (port,) = free_ports(1)
    async with (
        serving(by_path(probes, gateway, query), "127.0.0.1", port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        yield client


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "some-id", path)


PROVOKED: dict[str, dict[str, Any]] = {
    "large headers": {"headers": {"a": LONG}, "auth": KEYS},
    "many headers": {"headers": [(f"a{n}", "b") for n in range(200)], "auth": KEYS},
    "a long address": {"params": {"a": LONG[:65_480]}, "auth": KEYS},
    "no credential": {},
    "a wrong credential": {"auth": ("pk", "sk")},
    "a public key": {"headers": {"Authorization": f"Bearer {KEYS[0]}"}},
    "no JSON": {"content": b"{", "auth": KEYS, "headers": {"Content-Type": "application/json"}},
    "another encoding": {"content": b"x", "auth": KEYS, "headers": {"Content-Encoding": "br"}},
    "a large body": {"content": b"x" * 1_100_000, "auth": KEYS},
}
EXPECTED = {"large headers": 431, "many headers": 431, "a long address": 431}


@pytest.mark.parametrize("how", PROVOKED)
async def test_every_status_that_can_be_provoked_is_documented(
    server: httpx.AsyncClient, how: str
) -> None:
    for method, path, documented in OPERATIONS:
        is_bodyless = method == "GET" or (method, path) in WITHOUT_BODY
        if is_bodyless and "auth" in PROVOKED[how] and how not in EXPECTED:
            continue  # it may read the store, and there is none here
        response = await server.request(method, filled(path), **PROVOKED[how])

        assert str(response.status_code) in documented, (method, path, response.status_code)
        if how in EXPECTED:
            assert response.status_code == EXPECTED[how], (method, path)


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_what_strangers_may_ask_documents_malformed_parameters_too(
    server: httpx.AsyncClient, path: str
) -> None:
    documented = DOCUMENT["paths"][path]["get"]["responses"]
    for query in ("failIfDatabaseUnavailable=maybe", "unknown=1", "failIfNoRecentEvents=%ff"):
        response = await server.get(f"{path}?{query}")
        assert str(response.status_code) in documented


async def test_every_path_lists_its_methods_to_options(server: httpx.AsyncClient) -> None:
    for path, item in DOCUMENT["paths"].items():
        plain = await server.request("OPTIONS", filled(path))
        allowed = set(plain.headers["allow"].split(", "))

        assert (plain.status_code, plain.content) == (204, b""), path
        assert allowed >= {method.upper() for method in item} | {"OPTIONS"}, path

        preflight = await server.request(
            "OPTIONS",
            filled(path),
            headers={"Origin": "https://example.com", "Access-Control-Request-Method": "POST"},
        )
        assert preflight.status_code == 200, path
        assert "POST" in preflight.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_probes_list_their_methods_to_options(server: httpx.AsyncClient, path: str) -> None:
    response = await server.request("OPTIONS", path)

    assert response.status_code == 204
    assert "GET" in response.headers["allow"]


async def test_metrics_without_a_credential_are_those_of_the_process(
    server: httpx.AsyncClient,
) -> None:
    of_process = await server.get("/metrics")
    assert of_process.status_code == 200
    assert "python_info" in of_process.text
    assert "llm_requests_total" not in of_process.text
    assert (await server.get("/metrics", auth=("pk-nobody", "sk"))).status_code == 401
    of_project = await server.get("/metrics", auth=KEYS)
    assert "python_info" not in of_project.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_head_over_a_socket_has_the_headers_of_get_and_leaves_the_connection_usable(
    server: httpx.AsyncClient, method: str
) -> None:
    asked = ["/metrics", "/healthz", "/readyz", "/docs", "/openapi.json", "/"]
    asked += [path for documented, path, _ in OPERATIONS if documented == "GET"]
    for path in (filled(each) for each in asked):
        # Without a credential: there is no store here.
        expected = await server.request("GET", path)
        response = await server.request(method, path)

        assert response.status_code == expected.status_code, path
        assert set(response.headers) == set(expected.headers), path
        if path != "/metrics":  # it counts these requests
            assert response.headers["content-length"] == expected.headers["content-length"], path
        assert bool(response.content) == (method == "GET" and expected.content != b""), path


async def test_options_of_what_is_not_there_is_a_404(server: httpx.AsyncClient) -> None:
    assert (await server.request("OPTIONS", "/v1/nowhere")).status_code == 404


@pytest.mark.parametrize("long", [{}, {"params": {"a": LONG[:65_480]}}, {"headers": {"a": LONG}}])
@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
async def test_a_method_that_nothing_takes_is_a_405_however_long_its_head(
    server: httpx.AsyncClient, method: str, long: dict[str, Any]
) -> None:
    for path in DOCUMENT["paths"]:
        response = await server.request(method, filled(path), **long)

        assert response.status_code == 405, path
        assert set(response.headers["allow"].split(", ")) & {"GET", "POST", "PUT", "DELETE"}
        assert response.json()
