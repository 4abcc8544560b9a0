"""Examples of the OpenAPI document, sent as they stand there."""

import socket
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from clickhouse.all_topics import ensure_topics
from clickhouse.rows import DeadLetterRow
from producers.control.bootstrap import bootstrap
from producers.control.keys import new_api_key
from producers.control.kinds.channel import Channel
from producers.control.kinds.prompt import Prompt, prompt_id
from producers.control.kinds.prompt_version import PromptVersion
from producers.gateway.app import create_gateway
from producers.settings import GatewaySettings, InitSettings, KafkaSettings
from query_api.openapi.channel_examples import CHANNEL_EXAMPLE
from query_api.openapi.dataset_examples import (
    COMMENT_REQUEST_EXAMPLE,
    DATASET_REQUEST_EXAMPLE,
    ITEM_REQUEST_EXAMPLE,
    RUN_ITEM_REQUEST_EXAMPLE,
)
from query_api.openapi.operations_examples import REPLAY_REQUEST_EXAMPLE
from tests.fixtures.control_log import following
from tests.query_api.harness import ENDLESS, NOON_US, PROJECT, Api, observation, trace
from tests.query_api.test_openapi_document import INGESTION, OPERATIONS

ASKED = [
    pytest.param(name, operation, id=name)
    for name, operation in OPERATIONS
    if name not in INGESTION | {f"GET {path}" for path in ENDLESS}
]
CHANNEL = Channel(
    id=CHANNEL_EXAMPLE["id"], project_id=PROJECT, name="on-call", type="slack",
    settings={"url": "https://93.184.216.34/x"}, created_us=NOON_US,
)  # fmt: skip
DATASET = (
    ("v2/datasets", DATASET_REQUEST_EXAMPLE),
    ("dataset-items", ITEM_REQUEST_EXAMPLE),
    ("dataset-run-items", RUN_ITEM_REQUEST_EXAMPLE),
)
"""What the examples of other resources refer to."""
PROMPT = Prompt(
    id=prompt_id(PROJECT, "support/answer"), project_id=PROJECT, name="support/answer", type="text",
    key="pv_5c1d0e8f7a6b4c3d", versions={1: NOON_US, 2: NOON_US}, last_version=2,
    labels={"production": 1, "staging": 2, "latest": 2},
    split=(("production", 9_000), ("staging", 1_000)), created_us=NOON_US, updated_us=NOON_US,
)  # fmt: skip
PROMPT_VERSION = PromptVersion(
    id="pv_5c1d0e8f7a6b4c3d.1", project_id=PROJECT, prompt_id=PROMPT.id, name=PROMPT.name,
    version=1, type="text", content='"Hello"', created_us=NOON_US,
)  # fmt: skip
NOT_CONFIGURED = {"POST /api/public/media"}
"""What this API refuses because of its settings; ``test_media_routes`` sends the example."""
PUBLIC_ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))


def examples_of(schema: dict[str, Any]) -> list[Any]:
    """Of a parameter's own, or else of its items or alternatives."""
    parts = [*schema.get("anyOf", []), *([schema["items"]] if "items" in schema else [])]
    return schema.get("examples") or [each for part in parts for each in examples_of(part)]


def example_of_body(operation: dict[str, Any]) -> Any:
    body = operation.get("requestBody")
    return body and body["content"]["application/json"]["example"]


def project_admin(api: Api) -> httpx.AsyncClient:
    """Return a client with a key of the project that has the scope ``admin``."""
    key = new_api_key(
        key_id="admin", project_id=PROJECT, public_key="pk-admin", secret="sk-admin",
        created_us=NOON_US, scopes=("admin",),
    )  # fmt: skip
    api.control.keep(key)
    api.client.auth = httpx.BasicAuth("pk-admin", "sk-admin")
    return api.client


EXPERIMENT = observation(
    "t",
    "o",
    metadata='{"langfuse.experiment.id":"e","langfuse.experiment.name":"gpt-4o-mini"}',
)
DEAD_LETTER = DeadLetterRow(
    project_id=PROJECT, id=REPLAY_REQUEST_EXAMPLE["ids"][0], created_us=NOON_US,
    stage="observations", reason="processing_failed", source_topic="tracemill.events",
)  # fmt: skip
COMMENTED = trace(str(COMMENT_REQUEST_EXAMPLE["objectId"]))


@pytest.fixture
def any_name_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [PUBLIC_ADDRESS])


@pytest.mark.usefixtures("any_name_is_public")
@pytest.mark.parametrize(("name", "operation"), ASKED)
async def test_every_example_is_accepted(api: Api, name: str, operation: dict[str, Any]) -> None:
    method, path = name.split(" ")
    query: dict[str, Any] = {}
    for parameter in operation.get("parameters", []):
        examples = examples_of(parameter["schema"])
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", examples[0])
        elif examples:
            query[parameter["name"]] = examples[0]
    body = example_of_body(operation)
    api.control.keep(CHANNEL)
    await api.insert(EXPERIMENT, COMMENTED, DEAD_LETTER)
    for at, earlier in DATASET:
        assert (await api.client.post(f"/api/public/{at}", json=earlier)).is_success
    api.control.keep(PROMPT)
    api.control.keep(PROMPT_VERSION)
    client = api.admin if {"adminKey": []} in operation["security"] else api.client
    if "`admin`" in operation["responses"].get("403", {}).get("description", ""):
        client = api.admin if client is api.admin else project_admin(api)
    answer = await client.request(method, path, params=query, json=body)
    made_up = ("{" in name or name in NOT_CONFIGURED) and answer.status_code == 404
    assert answer.is_success or made_up, answer.text
    # Alone, an old `from` asks for more steps every day.
    required = {
        each["name"]: query[each["name"]]
        for each in operation.get("parameters", [])
        if each["in"] == "query" and each.get("required")
    }
    for parameter, example in query.items() - {("from", query.get("from"))}:
        alone = await client.get(path, params=required | {parameter: example})
        assert alone.is_success or made_up, alone.text


@pytest.fixture
async def gateway(kafka_broker: str) -> AsyncIterator[httpx.AsyncClient]:
    kafka = KafkaSettings(broker=kafka_broker, topic_prefix=f"test-{uuid.uuid4().hex[:12]}")
    await ensure_topics(kafka)
    async with following(kafka) as control:
        await bootstrap(control, InitSettings())
        app = create_gateway(kafka, GatewaySettings(delivery_timeout_s=30), control)
        async with (
            app.running(),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://tracemill",
                auth=("pk-tm-dev", "sk-tm-dev"),
            ) as client,
        ):
            yield client


async def test_every_example_of_what_is_sent_is_taken(gateway: httpx.AsyncClient) -> None:
    for name, operation in OPERATIONS:
        if name in INGESTION:
            method, path = name.split(" ")
            answer = await gateway.request(
                method, path.format(scoreId="s1", traceId="t1"), json=example_of_body(operation)
            )
            assert answer.is_success, (name, answer.text)
            assert not answer.json().get("errors"), name
            assert "partialSuccess" not in answer.json(), name
