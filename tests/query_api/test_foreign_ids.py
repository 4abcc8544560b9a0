"""Ids and values of another project are answered like those that exist nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from clickhouse.delivery_rows import DeliveryAttemptRow
from clickhouse.rows import (
    AlertRow,
    DeadLetterRow,
    ObservationRow,
    ScoreRow,
    SpendRow,
    TraceRow,
    WindowRow,
)
from deploy.price_explanations import BilledPrices
from query_api.app import create_query_api
from query_api.openapi.metrics_examples import METRICS_QUERY_EXAMPLE
from query_api.settings import QuerySettings
from tests.query_api.harness import ADMIN_PATHS, ENDLESS, NOON_US, OTHER, PROJECT, Api, Kept, opened

OWN, THEIRS, ABSENT = "value-of-ours", "value-of-them", "value-nowhere"
"""Of equal length, so that answers can be compared byte by byte."""
EMPTY_SKETCH = (
    "02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000"
)
DAY = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z"}
NEEDED: dict[str, dict[str, str]] = {
    "/api/public/metrics": {"query": METRICS_QUERY_EXAMPLE},
    "/api/public/v2/metrics": {"query": METRICS_QUERY_EXAMPLE},
    "/v1/windows": DAY | {"step": "1h"},
    "/v1/prices/unpriced": DAY,
    "/v1/prices/resolve": {"model": "m", "at": DAY["from"]},
    "/v1/prompts/{name}/assign": {"key": "u"},
}
"""Parameters without which an answer depends on the time, or is refused."""
METHODS = ("get", "post", "put", "patch", "delete")
BODIES: dict[str, Any] = {
    "/v1/prices": {"name": THEIRS, "match": THEIRS, "usd_per_million": {"input": "1"}},
    "/v1/budgets": {"name": THEIRS, "period": "day", "limit_usd": "1"},
    "/v1/silences": {
        "matchers": {"team": THEIRS},
        "reason": THEIRS,
        "starts_at": "2200-01-01T00:00:00Z",
        "duration": "1h",
    },
    "/v1/alert-rules": {"name": THEIRS, "metric": "cost", "threshold": 1, "window": "1d"},
    "/v1/channels": {"type": "slack", "name": THEIRS, "url": f"https://93.184.216.34/{THEIRS}"},
    "/v1/webhooks": {
        "url": f"https://93.184.216.34/{THEIRS}",
        "events": ["budget.threshold_crossed"],
    },
    "/v1/views": {"page": "traces", "name": THEIRS},
    "/v1/dashboards": {"name": THEIRS},
}
"""Bodies that are valid; other routes get what names the other project's records."""
BODIES_WITH_IDS: dict[str, Any] = {
    "/api/public/media/{media_id}": {
        "uploadedAt": "2026-11-21T12:00:00Z",
        "uploadHttpStatus": 200,
    },
    "/v1/webhooks/{webhook_id}": {"description": THEIRS},
    "/v1/alert-rules/{alert_rule_id}/test-fire": {"author": THEIRS},
    "/v1/silences/{silence_id}": {"reason": THEIRS},
    "/v1/alerts/{episode_id}/acknowledge": {"author": THEIRS},
    "/v1/webhooks/{webhook_id}/rotate-secret": {"overlap_s": 60},
    "/v1/channels/{channel_id}": {"name": THEIRS},
    "/v1/channels/{channel_id}/preview": {"text_template": THEIRS},
    "/v1/routes/{route_id}": {"name": THEIRS, "channel_ids": [THEIRS]},
    "/api/public/v2/prompts/{name}/versions/{version}": {"newLabels": ["a"]},
    "/v1/prompts/{name}/split": {"weights": {"a": 1}},
    "/v1/webhooks/{webhook_id}/redeliver": {"since": "2026-11-21T00:00:00Z"},
    "/v1/views/{saved_view_id}": {"page": "traces", "name": THEIRS},
    "/v1/dashboards/{dashboard_id}": {"name": THEIRS},
}
"""Bodies for the record that a path names."""
OF_NUMBERS = {"{version}": "1"}
"""Parts of paths that are no ids."""
CREATES = {
    ("get", "/v1/users/{user_id}/cost"): 200,
    ("get", "/v1/users/{user_id}/totals"): 200,
    ("get", "/v1/sessions/{session_id}/totals"): 200,
    ("put", "/api/public/models/{model_id}"): 400,
    ("put", "/v1/tiers/{user_id}"): 422,
    ("delete", "/api/public/scores/{scoreId}"): 405,  # routes of the gateway
    ("delete", "/api/public/traces/{traceId}"): 405,
    ("delete", "/v1/traces/{traceId}"): 405,
}
"""What creates a record if the id is unknown, and how another body is refused."""
CHANGES_PER_ANSWER = {"id", "created_at", "updated_at", "secret", "createdAt", "updatedAt"}
CHANGING_HEADERS = {"date", "etag", "location", "x-request-id", "server-timing", "content-length"}


def rows_of(project_id: str, value: str) -> Iterator[msgspec.Struct]:
    """A row of each table, with ``value`` in each column that a request can name."""
    given: dict[str, Any] = {"project_id": project_id, "row_version": 1}
    yield TraceRow(
        id=value, start_us=NOON_US, end_us=NOON_US + 9, name=value, user_id=value, session_id=value,
        root_observation_id=value, observation_count=1, tags=(value,), environment=value,
        release=value, version=value, **given,
    )  # fmt: skip
    yield ObservationRow(
        id=value, trace_id=value, start_us=NOON_US, name=value, input=value, output=value,
        model=value, user_id=value, session_id=value, environment=value, version=value,
        parent_id=value, **given,
    )  # fmt: skip
    yield ScoreRow(
        id=value, trace_id=value, observation_id=value, session_id=value, event_us=NOON_US,
        name=value, environment=value, config_id=value, queue_id=value, author_user_id=value,
        dataset_run_id=value, **given,
    )  # fmt: skip
    yield WindowRow(
        window_s=NOON_US // 10**6, environment=value, model=value, name=value, observation_count=3,
        latency_state_hex=EMPTY_SKETCH, **given,
    )  # fmt: skip
    yield SpendRow(
        bucket_s=NOON_US // 10**6, user_id=value, model=value, environment=value,
        total_cost_pico=1, **given,
    )  # fmt: skip
    yield AlertRow(
        id=value, budget_id=value, name=value, scope="{}", period_start_us=NOON_US, threshold="1",
        spent_pico=1, limit_pico=1, created_us=NOON_US, **given,
    )  # fmt: skip
    yield DeliveryAttemptRow(
        delivery_id=value, attempt=1, alert_ids=(value,), target_kind="webhook", target_id=value,
        status="delivered", created_us=NOON_US, attempted_us=NOON_US, **given,
    )  # fmt: skip
    yield DeadLetterRow(
        id=value, created_us=NOON_US, stage=value, reason=value, payload=value, **given
    )  # fmt: skip


@pytest.fixture(scope="module")
def stored(kept: Kept) -> str:
    return kept([*rows_of(PROJECT, OWN), *rows_of(OTHER, THEIRS)])


@asynccontextmanager
async def opened_with_tiers(clickhouse_url: str, stored: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored) as api:
        for client, value in ((api.client, OWN), (api.other, THEIRS)):
            tier = {"user_id": value, "tier": value}
            assert (await client.put("/v1/tiers", json={"data": [tier]})).status_code == 200
        yield api


@pytest.fixture
async def both(clickhouse_url: str, stored: str) -> AsyncIterator[Api]:
    async with opened_with_tiers(clickhouse_url, stored) as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both_for_reading(clickhouse_url: str, stored: str) -> AsyncIterator[Api]:
    async with opened_with_tiers(clickhouse_url, stored) as api:
        yield api


def operations() -> list[tuple[str, str, tuple[str, ...]]]:
    """Every method and path of the application, with the names of its query parameters."""
    app = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
    found = []
    for path, item in app.openapi()["paths"].items():
        for method in METHODS:
            if method in item:
                named = [p for p in item[method].get("parameters", []) if p["in"] == "query"]
                found.append((method, path, tuple(p["name"] for p in named)))
    return sorted(found)


OPERATIONS = operations()
WITH_PATH_IDS = [(method, path) for method, path, _ in OPERATIONS if "{" in path]
FILTERS = [
    (path, name)
    for method, path, names in OPERATIONS
    if method == "get" and path not in ENDLESS
    for name in names
]
CREATED = [path for method, path, _ in OPERATIONS if method == "post" and path in BODIES]


def comparable(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body, without what changes with each answer."""
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in CHANGING_HEADERS}
    text = answer.text.replace(THEIRS, ABSENT).replace(THEIRS.upper(), ABSENT.upper())
    try:
        body = json.loads(text)
    except ValueError:
        return answer.status_code, headers, text
    if isinstance(body, dict):
        body = {k: v for k, v in body.items() if k not in CHANGES_PER_ANSWER}
    return answer.status_code, headers, json.dumps(body)


async def asked(api: Api, method: str, path: str, value: str) -> httpx.Response:
    parts = [
        OF_NUMBERS.get(part, value) if part.startswith("{") else part for part in path.split("/")
    ]
    created_at = path.partition("/{")[0] if method in ("put", "patch") else path
    given = BODIES_WITH_IDS.get(path, BODIES.get(created_at, {"id": THEIRS}))
    if method == "put":  # a whole record
        given = BODIES.get(created_at, given)
    body = json.loads(json.dumps(given).replace(THEIRS, value))
    content: dict[str, Any] = {} if method in ("get", "delete") else {"json": body}
    if path in NEEDED:
        content["params"] = NEEDED[path]
    return await api.client.request(method, "/".join(parts), **content)  # type: ignore[arg-type]


async def records_of_theirs(api: Api) -> dict[str, str]:
    """Create a record of each kind that has routes for the other project; return ids by path."""
    ids = {}
    for path in CREATED:
        created = await api.other.post(path, json=BODIES[path])
        assert created.status_code == 201, created.text
        ids[path] = created.json()["id"]
    return ids


@pytest.mark.parametrize(("method", "path"), WITH_PATH_IDS)
async def test_a_foreign_id_in_the_path_is_answered_like_an_unknown_one(
    both: Api, method: str, path: str
) -> None:
    ids = await records_of_theirs(both)
    collection = next((found for found in ids if path.startswith(f"{found}/{{")), None)
    foreign = THEIRS if collection is None else ids[collection]
    absent = ABSENT if collection is None else "f" * len(foreign)
    answers = [comparable(await asked(both, method, path, value)) for value in (foreign, absent)]
    if (method, path) in CREATES:
        assert answers[0][0] == CREATES[method, path], "the body of this test is not one of theirs"
    else:
        assert answers[0][0] == (403 if path.startswith(ADMIN_PATHS) else 404)
    assert json.dumps(answers[0]).replace(foreign, absent) == json.dumps(answers[1])
    if collection is not None:
        kept = await both.other.get(f"{collection}/{foreign}")
        assert kept.status_code == 200, "another project changed it"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("path", "name"), FILTERS)
async def test_a_foreign_value_in_a_filter_is_answered_like_an_unknown_one(
    both_for_reading: Api, path: str, name: str
) -> None:
    path = path.replace("{traceId}", OWN).replace("{trace_id}", OWN)
    needed = NEEDED.get(path, {})
    answers = []
    for value in (THEIRS, ABSENT):
        condition = {"type": "string", "column": "name", "operator": "=", "value": value}
        given = json.dumps([condition]) if name == "filter" else value
        answer = await both_for_reading.client.get(path, params={**needed, name: given})
        assert answer.status_code < 500
        answers.append(comparable(answer))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("path", CREATED)
async def test_a_name_that_another_project_uses_is_free(both: Api, path: str) -> None:
    await records_of_theirs(both)
    answers = [comparable(await asked(both, "post", path, value)) for value in (THEIRS, ABSENT)]
    assert answers[0][0] == 201
    assert answers[0] == answers[1]


async def test_every_route_that_names_records_is_tested() -> None:
    assert len(WITH_PATH_IDS) >= 10
    assert len(FILTERS) >= 60
    assert set(BODIES) == set(CREATED)
