"""An encoded slash is part of its segment: it separates nothing, and reaches no other route."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from query_api.metrics import REQUESTS
from tests.query_api.harness import NOON_US, PROJECT, Api, observation, trace
from tests.query_api.test_foreign_ids import OPERATIONS

TEMPLATES = {path for _, path, _ in OPERATIONS}
ENCODED = [
    (method, path, number)
    for method, path, _ in OPERATIONS
    for number in range(2, path.count("/") + 1)
]
"""Each operation with each of its slashes but the first."""


def answered(templates: list[str]) -> float:
    """How many requests these routes have answered."""
    name = "tracemill_query_requests_total"
    return sum(
        sample.value
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.name == name and sample.labels["route"] in templates
    )


def with_encoded_slash(path: str, number: int, encoded: str) -> str:
    parts = path.split("/")
    return "/".join(parts[:number]) + encoded + "/".join(parts[number:])


@pytest.mark.parametrize("encoded", ["%2F", "%2f"])
async def test_no_route_with_more_segments_answers(api: Api, encoded: str) -> None:
    for method, path, number in ENCODED:
        requested = with_encoded_slash(re.sub(r"{\w+}", "x", path), number, encoded)
        longer = [each for each in TEMPLATES if each.count("/") > requested.count("/")]
        assert path in longer
        before = answered(longer)
        content: dict[str, Any] = {} if method in ("get", "delete") else {"json": {"name": "x"}}
        answer = await api.client_for(path).request(method, requested, **content)
        assert answer.status_code in {400, 403, 404, 405, 422}, (requested, answer.text)
        assert answered(longer) == before, requested
        json.loads(answer.content.decode("utf-8"))


async def test_limits_are_not_reached_by_an_id_with_a_slash(api: Api) -> None:
    limits = Limits(id=PROJECT, project_id=PROJECT, created_us=NOON_US, events_per_s=1)
    api.control.keep(limits)
    refused = await api.admin.delete(f"/v1/admin/projects/{PROJECT}%2Flimits")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"] == f"no project '{PROJECT}/limits'"
    assert api.control.view[Limits][PROJECT] == limits
    assert api.control.view[Project][PROJECT].state == "active"


async def test_an_id_with_a_slash_is_found_encoded_and_plain(api: Api) -> None:
    await api.insert(trace("a/b"), trace("a%2Fb"), observation("a/b", "o/p"))
    for path in ("/api/public/traces/a%2Fb", "/api/public/traces/a/b"):
        assert (await api.client.get(path)).json()["id"] == "a/b"
    assert (await api.client.get("/api/public/traces/a%252Fb")).json()["id"] == "a%2Fb"
    assert (await api.client.get("/v1/traces/a%2Fb/tree")).status_code == 200
    assert (await api.client.get("/v1/traces/a/b/tree")).status_code == 200
    assert (await api.client.get("/v1/traces/a/b%2Ftree")).status_code == 404
    assert (await api.client.get("/api/public/observations/o%2fp")).json()["id"] == "o/p"


@pytest.mark.parametrize("path", ["/v1%2Fbudgets", "/%2F", "/v1/budgets%2F%C3%A9%FF", "/x%2Fy%E9"])
async def test_a_path_that_is_no_route_is_shown_as_text(api: Api, path: str) -> None:
    answer = await api.client.get(path)
    assert answer.status_code == 404
    assert "%2F" in answer.json()["error"]["message"]


async def test_a_slash_at_the_end_changes_nothing(api: Api) -> None:
    for method, path, _ in OPERATIONS:
        if method != "get":
            continue
        requested = re.sub(r"{\w+}", "x", path)
        client = api.client_for(path)
        without, with_slash = await client.get(requested), await client.get(f"{requested}/")
        assert with_slash.status_code == without.status_code, requested
        assert with_slash.content[:20] == without.content[:20], requested


@pytest.mark.parametrize("name", ["a\n", "\na", "a\nb", "a\u2028", "\n"])
async def test_a_line_break_belongs_to_its_id(api: Api, name: str) -> None:
    await api.insert(trace("a", name="without"), trace(name, name="with"))
    found = await api.client.get(f"/api/public/traces/{quote(name, safe='')}")
    assert (found.status_code, found.json().get("name")) == (200, "with")
    assert (await api.client.get("/api/public/traces/a")).json()["name"] == "without"
    refused = await api.client.patch(f"/api/public/traces/{quote(name, safe='')}", json={})
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]
