"""Two projects with the same ids everywhere never see each other's data."""

from collections.abc import AsyncIterator, Iterator
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
from producers.control.kinds.alert_rule import AlertRule
from producers.control.kinds.budget import Budget
from producers.control.kinds.channel import Channel
from producers.control.kinds.dead_letter_replay import DeadLetterReplay
from producers.control.kinds.price import Price
from producers.control.kinds.protected_labels import ProtectedLabels
from producers.control.kinds.route import Route
from producers.control.kinds.score_config import ScoreConfig
from producers.control.kinds.silence import Silence
from producers.control.kinds.webhook import Webhook
from producers.control.record import ProjectRecord
from producers.documents.kinds.dataset import dataset_id
from query_api.app import create_query_api
from query_api.openapi.metrics_examples import METRICS_QUERY_EXAMPLE
from query_api.settings import QuerySettings
from tests.query_api.harness import ADMIN_PATHS, ENDLESS, NOON_US, OTHER, PROJECT, Api, Kept, opened

EMPTY_SKETCH = (
    "02FD4A815ABF52F03F0000000000000000010C00FEFFFFFF0F02030C00FEFFFFFF0F02040000000000000000"
)
pytestmark = pytest.mark.asyncio(loop_scope="module")  # of what all tests of the module read
SECRET = {PROJECT: "theirs-alone", OTHER: "nobody-elses"}
BUDGET = {"period": "day", "limit_usd": "1"}
PRICE = {"match": "m", "usd_per_million": {"input": "1"}}
RULE = {"metric": "cost", "threshold": 1, "window": "1d"}
SILENCE = {"matchers": {"team": "a"}, "duration": "1h"}
CHANNEL = {"type": "slack", "url": "https://93.184.216.34/x"}
SCORE_CONFIG = {"dataType": "BOOLEAN"}
WEBHOOK = {"events": ["budget.threshold_crossed"]}


def rows_of(project_id: str, version: int) -> Iterator[msgspec.Struct]:
    """The other project's rows are newer: were the key without its project, they would win."""
    mark = SECRET[project_id]
    given: dict[str, Any] = {"project_id": project_id, "row_version": version}
    yield TraceRow(
        id="t", start_us=NOON_US, end_us=NOON_US + 9, name=mark, user_id="u", session_id="s",
        root_observation_id="o", observation_count=1, tags=(mark,), environment=mark, **given,
    )  # fmt: skip
    yield ObservationRow(
        id="o", trace_id="t", start_us=NOON_US, name=mark, input=mark, output=mark, model=mark,
        cost_source="unpriced", usage={"input": 1}, **given,
        metadata=f'{{"langfuse.experiment.id":"e","langfuse.experiment.name":"{mark}"}}',
    )  # fmt: skip
    late_version = ((NOON_US + 2 * 86_400_000_000) // 1_000 << 20) + version
    yield ObservationRow(
        id="late", trace_id="t2", start_us=NOON_US, name=mark,
        **given | {"row_version": late_version},
    )  # fmt: skip
    yield ScoreRow(id="sc", trace_id="t", event_us=NOON_US, name=mark, **given)
    yield WindowRow(
        window_s=NOON_US // 10**6, environment="e", model="m", name=mark, observation_count=version,
        latency_state_hex=EMPTY_SKETCH, **given,
    )  # fmt: skip
    yield SpendRow(
        bucket_s=NOON_US // 10**6, user_id="u", model=mark, environment="e", total_cost_pico=1,
        session_id="s", **given
    )  # fmt: skip
    yield AlertRow(
        id="a", budget_id="b", name=mark, scope="{}", period_start_us=NOON_US, threshold="1",
        spent_pico=1,
        limit_pico=1, created_us=NOON_US, **given,
    )  # fmt: skip
    yield DeliveryAttemptRow(
        delivery_id="dl", attempt=1, alert_ids=("a",), target_kind="webhook", target_id="w",
        status="delivered", answer=mark, created_us=NOON_US, attempted_us=NOON_US, **given,
    )  # fmt: skip
    yield DeadLetterRow(
        id="d", created_us=NOON_US, stage="observations", source_topic="tracemill.events",
        reason=mark, payload=mark, **given,
    )  # fmt: skip


@pytest.fixture(scope="module")
def stored_twice(kept: Kept) -> str:
    return kept([*rows_of(PROJECT, 1), *rows_of(OTHER, 2)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(clickhouse_url: str, stored_twice: str) -> AsyncIterator[Api]:
    async with opened(clickhouse_url, stored_twice) as api:
        for client, mark in ((api.client, SECRET[PROJECT]), (api.other, SECRET[OTHER])):
            for path, body in (
                ("/v1/budgets", BUDGET | {"name": mark}),
                ("/v1/alert-rules", RULE | {"name": mark}),
                ("/v1/silences", SILENCE | {"reason": mark}),
                ("/v1/prices", PRICE | {"name": mark}),
                ("/v1/channels", CHANNEL | {"name": mark}),
                ("/api/public/score-configs", SCORE_CONFIG | {"name": mark}),
                ("/v1/webhooks", WEBHOOK | {"url": f"https://93.184.216.34/{mark}"}),
                ("/v1/views", {"page": "traces", "name": mark}),
                ("/v1/dashboards", {"name": mark}),
            ):
                created = await client.post(path, json=body)
                assert created.status_code == (200 if path.startswith("/api/") else 201)
                if path == "/v1/channels":
                    route = {"name": mark, "channel_ids": [created.json()["id"]]}
                    assert (await client.post("/v1/routes", json=route)).status_code == 201
            assert (await client.put("/v1/tiers/u", json={"tier": mark})).status_code == 200
            for path, body in (
                ("v2/datasets", {"name": "set", "description": mark}),
                ("dataset-items", {"datasetName": "set", "id": "item", "input": mark}),
                (
                    "dataset-run-items",
                    {
                        "runName": "run",
                        "datasetItemId": "item",
                        "traceId": mark,
                        "runDescription": mark,
                    },
                ),
            ):
                assert (await client.post(f"/api/public/{path}", json=body)).status_code == 200
            comment = {"objectType": "TRACE", "objectId": "t", "content": mark}
            assert (await client.post("/api/public/comments", json=comment)).status_code == 200
            prompt = {"name": "p", "prompt": mark, "labels": ["production", mark]}
            assert (await client.post("/api/public/v2/prompts", json=prompt)).status_code == 201
            weights = {"weights": {mark: 1}}
            assert (await client.put("/v1/prompts/p/split", json=weights)).status_code == 200
            project_id = PROJECT if client is api.client else OTHER
            state = {"project_id": project_id, "detail": mark, "created_us": 1, "updated_us": 1}
            api.jobs.apply(f"trace_deletion/{project_id}", msgspec.json.encode(state))
            author = {"author": mark}
            replayed = await client.post("/v1/dead-letters/replays", json={"ids": ["d"]})
            assert replayed.status_code == 202
            api.control.keep(replay_of(api, project_id).model_copy(update=author))
            api.control.keep(
                ProtectedLabels(
                    id=project_id, project_id=project_id, labels=(mark,), created_us=NOON_US
                )
            )
        yield api


def replay_of(api: Api, project_id: str) -> DeadLetterReplay:
    return next(iter(api.control.view.in_project(DeadLetterReplay, project_id).values()))


def every_get_path() -> list[str]:
    """Of the application's own description, so that a new route is tested the day it comes."""
    app = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
    paths = app.openapi()["paths"]
    return sorted(path for path, item in paths.items() if "get" in item and path not in ENDLESS)


SAY_NOTHING_OF_ROWS = {
    "/v1/alert-metrics",
    "/api/public/health",
    "/api/public/ready",
    "/api/public/projects",
    "/v1/prices/defaults",
    "/v1/prompts/{name}/compare",
    "/v1/budgets/{budget_id}/burn-down",
}
NOT_CONFIGURED = {"/api/public/media/{media_id}"}  # see test_media_routes.py
ID_OF = {
    "episode_id": f"b%2F{NOON_US}",
    "traceId": "t",
    "trace_id": "t",
    "observationId": "o",
    "scoreId": "sc",
    "user_id": "u",
    "session_id": "s",
    "delivery_id": "dl",
    "dead_letter_id": "d",
    "dataset_name": "set",
    "item_id": "item",
    "run_name": "run",
    "name": "p",
}
RANGE = {
    "from": "2026-11-21T00:00:00Z",
    "to": "2026-11-22T00:00:00Z",
    "step": "1h",
    "group_by": "name",
}
METRICS = {"query": METRICS_QUERY_EXAMPLE.replace("providedModelName", "name")}


def filled(path: str, api: Api, project_id: str) -> str:
    def of_kind(record: type[ProjectRecord] | type[Price]) -> str:
        return next(iter(api.control.view.in_project(record, project_id)))

    records = {
        "silence_id": of_kind(Silence),
        "alert_rule_id": of_kind(AlertRule),
        "budget_id": of_kind(Budget),
        "channel_id": of_kind(Channel),
        "route_id": of_kind(Route),
        "webhook_id": of_kind(Webhook),
        "price_id": of_kind(Price),
        "model_id": of_kind(Price),
        "config_id": of_kind(ScoreConfig),
    }
    for name, value in (ID_OF | records).items():
        path = path.replace(f"{{{name}}}", value)
    return path


async def with_documents(client: httpx.AsyncClient, path: str) -> str:
    for name, listed in (
        ("comment_id", "/api/public/comments"),
        ("saved_view_id", "/v1/views"),
        ("dashboard_id", "/v1/dashboards"),
    ):
        if f"{{{name}}}" in path:
            (document,) = (await client.get(listed)).json()["data"]
            path = path.replace(f"{{{name}}}", document["id"])
    return path


async def answer_of(client: httpx.AsyncClient, path: str, own: str) -> httpx.Response:
    parameters = {
        "/v1/experiments/compare": {"dataset": "set", "runs": "run"},
        "/api/public/dataset-run-items": {"datasetId": dataset_id(own, "set"), "runName": "run"},
        "/v1/windows": RANGE,
        "/api/public/metrics": METRICS,
        "/api/public/v2/metrics": METRICS,
        "/v1/cache": RANGE,
        "/api/public/prompts": {"name": "p"},
        "/v1/prompts/p/assign": {"key": "u"},
        "/v1/prices/resolve": {"model": "m"},
        "/v1/export/traces": {name: RANGE[name] for name in ("from", "to")},
        "/v1/export/observations": {name: RANGE[name] for name in ("from", "to")},
        "/v1/late-events": {name: RANGE[name] for name in ("from", "to")},
        "/v1/prices/unpriced": {name: RANGE[name] for name in ("from", "to")},
        "/v1/users/u/cost": {name: RANGE[name] for name in ("from", "to")},
    }
    return await client.get(path, params=parameters.get(path, {}))


@pytest.mark.parametrize("path", every_get_path())
async def test_each_project_reads_its_own_data_only(both: Api, path: str) -> None:
    for client, own, foreign in ((both.client, PROJECT, OTHER), (both.other, OTHER, PROJECT)):
        filled_path = await with_documents(client, filled(path, both, own))
        answer = await answer_of(client, filled_path, own)
        if path.startswith(ADMIN_PATHS):
            assert answer.status_code == 403
            continue
        if path in NOT_CONFIGURED:
            assert answer.status_code == 404
            continue
        assert answer.status_code == 200, answer.text
        assert SECRET[foreign] not in answer.text
        if path not in SAY_NOTHING_OF_ROWS:
            assert SECRET[own] in answer.text


async def test_each_key_lists_its_own_project_only(both: Api) -> None:
    for client, own in ((both.client, PROJECT), (both.other, OTHER)):
        (project,) = (await client.get("/api/public/projects")).json()["data"]
        assert project == {
            "id": own, "name": own.title(), "organization": {"id": own, "name": own.title()},
            "metadata": {}, "retentionDays": None,
        }  # fmt: skip


async def test_records_of_another_project_cannot_be_read_or_deleted(both: Api) -> None:
    for path in (
        "/v1/budgets/{budget_id}",
        "/v1/budgets/{budget_id}/status",
        "/v1/webhooks/{webhook_id}",
    ):
        foreign = filled(path, both, OTHER)
        assert (await both.client.get(foreign)).status_code == 404
    for path in ("/v1/budgets/{budget_id}", "/v1/webhooks/{webhook_id}"):
        assert (await both.client.delete(filled(path, both, OTHER))).status_code == 404
        assert (await both.other.get(filled(path, both, OTHER))).status_code == 200


async def test_a_project_in_the_request_changes_nothing(both: Api) -> None:
    for name in ("projectId", "project_id"):
        answer = await both.client.get("/api/public/traces", params={name: OTHER})
        assert SECRET[OTHER] not in answer.text
        refused = await both.client.post("/v1/budgets", json=BUDGET | {"name": "x", name: OTHER})
        assert refused.status_code == 422
