"""POST /api/public/scores against a real broker."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from producers.control.auth import Principal
from producers.errors import BodyError, ForbiddenError
from producers.gateway.app import Gateway
from producers.settings import GatewaySettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, Log
from tracemill.contract import Score

URL = "/api/public/scores"


def score(**changes: Any) -> dict[str, Any]:
    body = {"id": "s1", "traceId": "t1", "name": "quality", "value": 0.9} | changes
    return {name: value for name, value in body.items() if value is not None}


async def kept(log: Log) -> list[Score]:
    return [event for event in await log.events() if isinstance(event, Score)]


async def test_one_score_is_answered_with_its_id(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post(
        URL,
        json=score(
            observationId="o1",
            comment="fine",
            metadata={"by": "me"},
            environment="Prod",
            source="EVAL",
            timestamp="2024-11-21T02:45:22.921597Z",
        ),
    )

    assert (response.status_code, response.json()) == (200, {"id": "s1"})
    assert await kept(log) == [
        Score(
            project_id="default",
            id="s1",
            ts_us=1_732_157_122_921_597,
            name="quality",
            data_type="NUMERIC",
            value=0.9,
            trace_id="t1",
            observation_id="o1",
            source="EVAL",
            environment="prod",
            comment="fine",
            metadata='{"by":"me"}',
        )
    ]


async def test_a_score_without_id_gets_one(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post(URL, json=score(id=None))

    (written,) = await kept(log)
    assert response.json() == {"id": written.id}
    assert len(written.id) == 36


@pytest.mark.parametrize(
    ("said", "data_type", "value", "string_value"),
    [
        ({"value": 3}, "NUMERIC", 3.0, None),
        ({"value": "good"}, "CATEGORICAL", None, "good"),
        ({"value": 1, "dataType": "BOOLEAN"}, "BOOLEAN", 1.0, "True"),
        ({"value": 0, "dataType": "BOOLEAN"}, "BOOLEAN", 0.0, "False"),
        ({"value": False}, "BOOLEAN", 0.0, "False"),
        ({"value": "why", "dataType": "TEXT"}, "TEXT", None, "why"),
        ({"value": "better", "dataType": "CORRECTION", "name": None}, "CORRECTION", None, "better"),
    ],
)
async def test_values_are_typed(
    client: httpx.AsyncClient,
    log: Log,
    said: dict[str, Any],
    data_type: str,
    value: float | None,
    string_value: str | None,
) -> None:
    response = await client.post(URL, json=score(**said))

    assert response.status_code == 200
    (written,) = await kept(log)
    assert (written.data_type, written.value, written.string_value) == (
        data_type,
        value,
        string_value,
    )
    assert written.name == ("output" if data_type == "CORRECTION" else "quality")


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        (score(value=None), [], "missing required field `value`"),
        (score(name=7), ["name"], "Expected `str | null`, got `int`"),
        (score(sessionId="s"), [], "set exactly one"),
        (score(value="x", dataType="BOOLEAN"), ["value"], "BOOLEAN takes a number"),
        (score(value="x", dataType="CORRECTION", configId="c"), ["configId"],
            "not allowed for corrections"),
        (score(timestamp="2099-01-01T00:00:00Z"), ["timestamp"], "too far"),
        (score(dataType="DREAM"), ["dataType"], "must be one of NUMERIC, BOOLEAN"),
        (score(source="ME"), ["source"], "must be one of API, EVAL, ANNOTATION"),
        ("text", [], "Expected `object`"),
    ],
)  # fmt: skip
async def test_an_invalid_score_is_a_400_that_names_the_field(
    client: httpx.AsyncClient, log: Log, body: Any, path: list[str], message: str
) -> None:
    response = await client.post(URL, json=body)

    assert response.status_code == 400
    assert response.json()["message"] == "Invalid request data"
    (issue,) = response.json()["error"]
    assert message in issue["message"]
    assert issue["path"] == path
    assert await kept(log) == []


async def test_a_list_of_scores_is_accepted(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post(URL, json=[score(), score(id="s2", sessionId="s", traceId=None)])

    assert (response.status_code, response.json()) == (202, {"message": "Accepted"})
    assert {written.id for written in await kept(log)} == {"s1", "s2"}


async def test_of_a_list_the_invalid_ones_are_told_and_the_others_kept(
    client: httpx.AsyncClient, log: Log
) -> None:
    response = await client.post(URL, json=[score(), 7, score(id="s3", value=None)])

    assert response.status_code == 207
    answered = response.json()
    assert (answered["accepted"], answered["rejected"]) == (1, 2)
    assert [entry["message"][:4] for entry in answered["errors"]] == ["[1]:", "[2]:"]
    assert [written.id for written in await kept(log)] == ["s1"]


async def test_an_empty_list_is_accepted(client: httpx.AsyncClient) -> None:
    assert (await client.post(URL, json=[])).status_code == 202


async def test_a_public_key_alone_may_send_scores(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post(
        URL, json=score(), auth=httpx.Auth(), headers={"Authorization": "Bearer pk-tm-dev"}
    )

    assert response.status_code == 200
    assert len(await kept(log)) == 1


@pytest.mark.parametrize("body", [b"", b"[", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_not_json_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(URL, content=body)

    assert response.status_code == 400
    assert response.json()["error"][0]["message"]


async def test_reading_scores_is_not_this_applications_business(client: httpx.AsyncClient) -> None:
    response = await client.get(URL)

    assert response.status_code == 405
    assert response.json()["error"] == "MethodNotAllowedError"
    assert "POST" in response.headers["allow"]


async def test_an_unknown_path_is_a_404(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/public/otel/v1/logs", json={})

    assert response.status_code == 404
    assert "/api/public/otel/v1/logs" in response.json()["message"]


async def test_browsers_of_other_origins_may_ask(client: httpx.AsyncClient) -> None:
    preflight = await client.options(
        URL,
        headers={
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-langfuse-sdk-name",
        },
    )
    answered = await client.post(URL, json=score(), headers={"Origin": "https://app.example"})

    assert preflight.status_code == 200
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "x-langfuse-sdk-name" in preflight.headers["access-control-allow-headers"]
    assert answered.headers["access-control-allow-origin"] == "*"


class TestLimits:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            scores_body_max_bytes=20_000,
            event_max_bytes=2_000,
            batch_events_max=3,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
        )

    async def test_too_large_a_body_score_or_list_is_a_413(self, client: httpx.AsyncClient) -> None:
        for body, message in (
            (score(comment="x" * 30_000), "larger than 20000 bytes"),
            (score(comment="x" * 3_000), "the maximum is 2000"),
            ([score()] * 4, "the maximum is 3"),
        ):
            response = await client.post(URL, json=body)
            assert response.status_code == 413
            assert message in response.json()["message"]

    async def test_a_list_with_one_score_too_large_keeps_the_others(
        self, client: httpx.AsyncClient, log: Log
    ) -> None:
        response = await client.post(URL, json=[score(), score(id="s2", comment="x" * 3_000)])

        assert response.status_code == 207
        assert [written.id for written in await kept(log)] == ["s1"]

    async def test_an_ingestion_batch_has_the_same_limits(
        self, client: httpx.AsyncClient, log: Log
    ) -> None:
        event = {"type": "score-create", "timestamp": "2024-01-01T00:00:00Z"}
        large = event | {"id": "large", "body": score(comment="x" * 3_000)}
        small = event | {"id": "small", "body": score()}
        url = "/api/public/ingestion"

        many = await client.post(url, json={"batch": [small] * 4})
        mixed = await client.post(url, json={"batch": [large, small]})

        assert many.status_code == 413
        assert [entry["id"] for entry in mixed.json()["successes"]] == ["small"]
        assert [entry["id"] for entry in mixed.json()["errors"]] == ["large"]
        assert [letter["reason"] for letter in await log.dead_letters()] == ["event_too_large"]


@pytest.mark.parametrize(
    ("version", "is_whole"), [("2.27.3", True), ("2.38.2", True), ("2.39.0", False), ("3.1", False)]
)
async def test_a_python_sdk_before_2_39_is_answered_with_the_score(
    client: httpx.AsyncClient, version: str, *, is_whole: bool
) -> None:
    headers = {"X-Langfuse-Sdk-Name": "python", "X-Langfuse-Sdk-Version": version}
    sent = score(timestamp="2024-11-21T02:45:22.921Z")
    found = (await client.post(URL, json=sent, headers=headers)).json()
    whole = {
        "id": "s1",
        "traceId": "t1",
        "observationId": None,
        "name": "quality",
        "value": 0.9,
        "stringValue": None,
        "dataType": "NUMERIC",
        "source": "API",
        "timestamp": "2024-11-21T02:45:22.921Z",
        "comment": None,
    }
    assert found == (whole if is_whole else {"id": "s1"})


async def test_scores_of_the_console_have_all_checks_of_a_request(
    gateway: Gateway, log: Log
) -> None:
    scores = Principal("default", frozenset({"scores"}), "pk-tm-dev")
    await gateway.send_scores(scores, msgspec.json.encode(score(source="ANNOTATION")))

    (found,) = await kept(log)
    assert (found.project_id, found.id, found.source) == ("default", "s1", "ANNOTATION")
    with pytest.raises(BodyError, match="set exactly one"):
        await gateway.send_scores(scores, msgspec.json.encode(score(traceId=None)))
    reader = Principal("default", frozenset({"read"}), "pk-tm-dev")
    with pytest.raises(ForbiddenError, match="scores"):
        await gateway.send_scores(reader, msgspec.json.encode(score()))
