"""Every answer to a project is the same, byte for byte, whether other projects are busy or not.

Two installations get the same requests with the same project's key, on every route. In one of them,
other projects write control records before each request, and have rows of their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import SecretStr

from clickhouse.all_topics import ensure_topics
from clickhouse.rows import DeadLetterRow
from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.backtests import StreamBacktester
from deploy.budget_backtests import StreamBudgetBacktester
from deploy.default_prices import ShippedPrices
from deploy.price_explanations import BilledPrices
from producers.control.auth import Authenticator
from producers.control.keys import new_api_key
from producers.control.kinds.budget import Budget
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.control.scopes import SCOPES
from producers.documents.kinds.dataset import dataset_id
from producers.settings import AdminSettings, KafkaSettings
from producers.tiers.log import TierLog
from producers.tiers.record import Tier
from query_api.app import create_query_api
from query_api.decisions.book import DecisionBook
from query_api.openapi.metrics_examples import METRICS_QUERY_EXAMPLE
from query_api.settings import QuerySettings
from tests.fixtures.control_log import following, following_documents, following_tiers
from tests.query_api.harness import ADMIN_KEY, ENDLESS, NOON_US, OTHER, PROJECT, Kept, observation
from tests.query_api.test_foreign_ids import BODIES, OPERATIONS, OWN, THEIRS, rows_of

NOW_US = NOON_US + 600 * 10**6
"""What the clock shows; the project's last event is too old for `failIfNoRecentEvents`."""
MORE_BODIES: dict[str, Any] = {
    **BODIES,
    "patch /v1/silences/{silence_id}": {"ends_at": "2200-01-02T00:00:00Z"},
    "/api/public/models": {
        "modelName": "m", "matchPattern": "m", "unit": "TOKENS", "inputPrice": 1e-6,
    },
    "/v1/admin/projects/{project_id}/keys": {"note": "n"},
    "/v1/budgets/decisions": {"requests": [{"user_id": OWN}]},
    "/v1/tiers": {"data": [{"user_id": user, "tier": "free"} for user in (OWN, "second")]},
    "/v1/tiers/{user_id}": {"tier": "pro"},
    "/v1/dead-letters/replays": {"ids": [OWN]},
    "/v1/query": {
        "from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z", "group_by": ["user_id"],
        "measures": ["count", "cost_usd"],
    },
    "/v1/query/explain": {"measures": ["latency_ms.p95"], "group_by": ["model"]},
    "/v1/admin/projects/{project_id}/keys/{key_id}/rotate": {"overlap_s": 60},
    "/api/public/projects/{projectId}/apiKeys": {"note": "n"},
    "/api/public/comments": {"objectType": "TRACE", "objectId": OWN, "content": "c"},
    "/api/public/v2/datasets": {"name": OWN},
    "/v1/datasets/items": {"dataset": OWN, "items": [{"id": "imported", "input": 1}]},
    "/api/public/datasets": {"name": OWN},
    "/api/public/dataset-items": {"datasetName": OWN, "id": OWN, "input": 1},
    "/api/public/dataset-run-items": {"runName": OWN, "datasetItemId": OWN, "traceId": OWN},
    "/api/public/v2/prompts": {"name": OWN, "prompt": "p", "labels": ["a", "production"]},
    "/api/public/v2/prompts/{name}/versions/{version}": {"newLabels": ["b"]},
    "/v1/prompts/{name}/split": {"weights": {"a": 1}},
    "/v1/alert-rules/backtest": {
        "rule": {"name": "r", "metric": "cost", "threshold": 1, "window": "1d"},
        "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z",
    },
    "/v1/budgets/backtest": {
        "budget": {"name": "b", "period": "day", "limit_usd": "1"},
        "from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z",
    },
}  # fmt: skip
PARAMETERS: dict[str, list[dict[str, str]]] = {
    "/api/public/health": [
        {"failIfNoRecentEvents": "true"}, {"failIfDatabaseUnavailable": "true"},
    ],
    "/api/public/metrics": [{"query": METRICS_QUERY_EXAMPLE}],
    "/api/public/v2/metrics": [{"query": METRICS_QUERY_EXAMPLE}],
    "/v1/windows": [
        {
            "from": "2026-11-21T00:00:00Z", "to": "2026-11-22T00:00:00Z",
            "step": "1h", "group_by": "name",
        },
    ],
    "/api/public/dataset-run-items": [
        {"datasetId": dataset_id(PROJECT, OWN), "runName": OWN},
    ],
    "/v1/experiments/compare": [{"dataset": OWN, "runs": OWN}],
}  # fmt: skip
OF_PATHS = {
    "project_id": PROJECT, "projectId": PROJECT, "traceId": OWN, "trace_id": OWN,
    "observationId": OWN, "scoreId": OWN, "key_id": "rotated", "apiKeyId": "deleted",
    "user_id": OWN, "dataset_name": OWN, "item_id": OWN, "run_name": OWN, "name": OWN,
    "session_id": OWN, "delivery_id": OWN, "dead_letter_id": OWN, "version": "1", "label": "b",
}  # fmt: skip
ORDER = ("post", "get", "put", "patch", "delete")
CREATED_FIRST = (
    "/api/public/v2/datasets", "/api/public/dataset-items", "/api/public/dataset-run-items",
    "/api/public/v2/prompts", "/v1/channels", "/v1/prompts/{name}/labels/{label}",
)  # fmt: skip
"""Records that other requests name, and those that are deleted with others."""

FIRST = {"/v1/prompts/{name}/split": "put", "/v1/tiers/{user_id}": "put"}
"""What has to be written before it is read."""
NOT_REACHED = {
    # for the installation's admin; no directory for media is configured; needs a rule that fires
    *(
        (method, path)
        for method, path, _ in OPERATIONS
        if path.startswith(("/v1/admin/prices", "/v1/storage", "/v1/pipeline", "/api/public/media"))
        or "/alerts/{episode_id}" in path
    ),
    # for the installation's admin
    ("post", "/v1/admin/projects"), ("patch", "/v1/admin/projects/{project_id}"),
    ("delete", "/v1/admin/projects/{project_id}"), ("post", "/api/public/projects"),
    ("put", "/api/public/projects/{projectId}"), ("delete", "/api/public/projects/{projectId}"),
    ("put", "/v1/admin/projects/{project_id}/limits"),
    ("delete", "/v1/admin/projects/{project_id}/limits"),
    ("post", "/v1/deliveries/{delivery_id}/redeliver"),  # needs a webhook with deliveries
    *(("get", path) for path in ENDLESS),
    # routes of the gateway
    ("post", "/v1/traces"), ("post", "/api/public/ingestion"), ("post", "/api/public/scores"),
    ("post", "/api/public/otel/v1/metrics"), ("post", "/api/public/otel/v1/traces"),
    ("delete", "/v1/traces"), ("delete", "/api/public/traces"), ("delete", "/v1/traces/{traceId}"),
    ("delete", "/api/public/traces/{traceId}"), ("delete", "/api/public/scores/{scoreId}"),
}  # fmt: skip
"""Operations that are only refused here; every other one succeeds at least once."""

_STORED_AT = re.compile(rb'("(?:createdAt|updatedAt)":)"[^"]*"')
"""When the store inserted the project's own rows, by its own clock."""
Shown = tuple[str, int, list[tuple[str, str]], bytes]


class FrozenSecrets:
    """Random texts that depend only on the request for which they are drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step = ""
        self._drawn = 0
        monkeypatch.setattr(secrets, "token_bytes", self.token_bytes)
        monkeypatch.setattr(secrets, "token_hex", lambda size: self.token_bytes(size).hex())
        monkeypatch.setattr(secrets, "token_urlsafe", lambda size: self.token_bytes(size).hex())

    def begin(self, step: str) -> None:
        self.step, self._drawn = step, 0

    def token_bytes(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_128(f"{self.step}/{self._drawn}".encode()).digest(size)


@dataclass
class Installation:
    client: httpx.AsyncClient
    control: ControlLog
    tiers: TierLog
    frozen: FrozenSecrets
    is_busy: bool
    shown: list[Shown] = field(default_factory=list)
    steps: int = 0

    async def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a request and keep the answer; in a busy installation, others write before it."""
        self.steps += 1
        if self.is_busy:
            self.frozen.begin(f"others {self.steps}")
            await self.control.create(
                Budget(
                    id=f"theirs-{self.steps}", project_id=OTHER, name="theirs", period="day",
                    limit_pico=1, thresholds=("1",), created_us=NOON_US,
                )
            )  # fmt: skip
            theirs = [Tier(OTHER, user, "theirs") for user in (OWN, f"u{self.steps}")]
            await self.tiers.write(theirs, per_project_max=1_000)
        self.frozen.begin(f"own {self.steps}")
        answer = await self.client.request(method, path, **content)
        headers = sorted(answer.headers.items())
        body = _STORED_AT.sub(rb"\1", answer.content)
        self.shown.append((f"{method} {path}", answer.status_code, headers, body))
        return answer


def rows(is_busy: bool) -> Iterator[msgspec.Struct]:
    yield from rows_of(PROJECT, OWN)
    position = 90_210 if is_busy else 5
    for stage in ("observations", "projects"):
        yield DeadLetterRow(
            project_id=PROJECT, id=f"of-{stage}", created_us=NOON_US, stage=stage, reason="bad",
            source_topic="t", source_partition=0, source_offset=position,
            payload=f'["{PROJECT}",0,{position},[],[],0]' if stage == "projects" else "{}",
        )  # fmt: skip
    yield DeadLetterRow(
        project_id=PROJECT, id=OWN, created_us=NOON_US, stage="observations", reason="bad",
        source_topic="t.events", source_partition=0, source_offset=position, payload="{}",
    )  # fmt: skip
    if is_busy:
        yield from rows_of(OTHER, THEIRS)
        for number in range(500):
            yield observation(f"t{number}", f"o{number}", NOW_US - number, project_id=OTHER)


@asynccontextmanager
async def installation(
    kafka: KafkaSettings, clickhouse_url: str, database: str, frozen: FrozenSecrets, *, busy: bool
) -> AsyncIterator[Installation]:
    await ensure_topics(kafka)
    store = Store(StoreSettings(clickhouse_url=clickhouse_url, clickhouse_database=database))
    try:
        async with (
            following(kafka) as control,
            following_tiers(kafka) as tiers,
            following_documents(kafka) as documents,
        ):
            frozen.begin("start")
            for project_id in (PROJECT, OTHER) if busy else (PROJECT,):
                await control.create(Project(id=project_id, name=project_id, created_us=NOON_US))
            for name in ("own", "rotated", "deleted"):
                key = new_api_key(
                    key_id=name, project_id=PROJECT, public_key=f"pk-{name}", secret="sk-own",
                    created_us=NOON_US, scopes=list(SCOPES),
                )  # fmt: skip
                await control.create(key)
            decisions = DecisionBook(control, tiers.book, partitions=1, states_max=10)
            decisions.is_ready = True
            app = create_query_api(
                store,
                control,
                Authenticator(control, AdminSettings(secret_key=SecretStr(ADMIN_KEY))),
                QuerySettings(readiness_cache_s=0),
                [],
                default_prices=ShippedPrices(),
                explainer=BilledPrices(),
                backtester=StreamBacktester(),
                budget_backtester=StreamBudgetBacktester(),
                tiers=tiers,
                documents=documents,
                decisions=decisions,
            )
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://tracemill", auth=("pk-own", "sk-own")
            ) as client:
                yield Installation(client, control, tiers, frozen, busy)
    finally:
        await store.close()


class Examples:
    """Valid bodies and parameters of operations, from the description."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def body(self, method: str, path: str) -> Any:
        content = self._document["paths"][path][method].get("requestBody", {}).get("content", {})
        for each in content.values():
            if "example" in each:
                return each["example"]
            schema = self._resolved(each.get("schema", {}))
            if "examples" in schema:
                return schema["examples"][0]
        return {"name": "n"}

    def parameters(self, method: str, path: str) -> dict[str, Any]:
        """Return the required parameters in the query, with their examples."""
        return {
            each["name"]: (each.get("examples") or each["schema"].get("examples") or ["x"])[0]
            for each in self._document["paths"][path][method].get("parameters", [])
            if each["in"] == "query" and each.get("required") and "example" not in each
        }

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        name = schema.get("$ref", "").rpartition("/")[2]
        return self._document["components"]["schemas"][name] if name else schema


def id_in(body: Any) -> str:
    return str(body["id"]) if isinstance(body, dict) and "id" in body else ""


async def ask_everything(api: Installation) -> dict[tuple[str, str], set[int]]:
    """Send requests of every operation, and return the statuses of the answers."""
    answered: dict[tuple[str, str], set[int]] = defaultdict(set)
    ids = dict(OF_PATHS)
    created: dict[str, str] = {}
    bodies = {path: json.loads(json.dumps(body)) for path, body in MORE_BODIES.items()}

    def filled(path: str, absent: bool = False) -> str:
        record_id = next((ids for at, ids in created.items() if path.startswith(f"{at}/{{")), "x")
        names = re.findall(r"{(\w+)}", path)
        for name in names:
            value = ids.get(name, record_id)
            path = path.replace(f"{{{name}}}", "nowhere" if absent else value)
        return path

    def rank(operation: tuple[str, str, Any]) -> tuple[int, int, int, str]:
        method, path, _ = operation
        first = CREATED_FIRST.index(path) if path in CREATED_FIRST else len(CREATED_FIRST)
        order = 0 if FIRST.get(path) == method else ORDER.index(method)
        return order, first, path.count("/"), path

    app = create_query_api(None, None, None, QuerySettings(), [], explainer=BilledPrices())  # type: ignore[arg-type]
    examples = Examples(app.openapi())
    ordered = sorted(OPERATIONS, key=rank)
    for method, path, parameters in ordered:
        content: dict[str, Any] = {}
        if path == "/v1/routes" and method == "post":
            bodies[path] = {"name": "r", "channel_ids": [created["/v1/channels"]]}
        if method in ("post", "put", "patch"):
            at = path.partition("/{")[0] if method == "put" else path
            body = bodies.get(path, bodies.get(at, examples.body(method, path)))
            content["json"] = bodies.get(f"{method} {path}", body)
        first = await api.ask(method, filled(path), **content)
        answered[method, path].add(first.status_code)
        if method == "post" and first.status_code in (200, 201):
            created.setdefault(path, id_in(first.json()))
            await api.ask(method, filled(path), **content)
        if "{" in path:
            await api.ask(method, filled(path, absent=True), **content)
        if method in ("put", "patch", "delete") and "etag" in first.headers:
            for tag in (first.headers["etag"], '"stale"', 'W/"weak"', "unquoted"):
                await api.ask(method, filled(path), headers={"if-match": tag}, **content)
        if method == "get":
            given = [{"limit": "1"}] if "limit" in parameters else []
            required = examples.parameters(method, path)
            for query in [*given, *PARAMETERS.get(path, []), *([required] if required else [])]:
                page = await api.ask(method, filled(path), params=query)
                answered[method, path].add(page.status_code)
                cursor = re.search(r'"cursor":"([^"]+)"', page.text)
                if cursor is not None:
                    await api.ask(method, filled(path), params={**query, "cursor": cursor[1]})
            await api.ask(method, filled(path), params={"unknown": "x"})
            await api.ask("head", filled(path))
    return answered


async def test_no_answer_depends_on_other_projects(
    kafka_broker: str,
    topic_prefix: str,
    clickhouse_url: str,
    kept: Kept,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = FrozenSecrets(monkeypatch)
    monkeypatch.setattr("tracemill.clock.time", SimpleNamespace(time_ns=lambda: NOW_US * 1_000))
    answers: list[list[Shown]] = []
    for busy in (False, True):
        database = await asyncio.to_thread(kept, rows(busy))
        kafka = KafkaSettings(
            broker=kafka_broker,
            topic_prefix=f"{topic_prefix}-{busy}".lower(),
            event_partitions=1,
            project_partitions=1,
        )
        async with installation(kafka, clickhouse_url, database, frozen, busy=busy) as api:
            answered = await ask_everything(api)
            answers.append(api.shown)
        refused = {each for each, statuses in answered.items() if min(statuses) >= 400}
        assert refused <= NOT_REACHED, refused - NOT_REACHED
    idle, busy_ones = answers
    assert [each[0] for each in idle] == [each[0] for each in busy_ones]
    differences = [(one, other) for one, other in zip(idle, busy_ones, strict=True) if one != other]
    assert not differences, f"{len(differences)} of {len(idle)}: {differences[:3]}"
    assert {path.split()[0] for path, *_ in idle} == {*ORDER, "head"}
    assert sum(status < 300 for _, status, *_ in idle) > len(OPERATIONS)
