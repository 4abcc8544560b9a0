"""The OTLP routes with a real broker and bodies of OpenTelemetry's own protobuf classes."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from producers.settings import GatewaySettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, Log, times_reached
from tracemill.contract import Observation

URL = "/api/public/otel/v1/traces"
PROTOBUF = "application/x-protobuf"


def export(
    count: int = 1, *, text: str = "hello", start_ns: int | None = None
) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    start = time.time_ns() if start_ns is None else start_ns
    for number in range(count):
        span = spans.add(
            trace_id=bytes([number % 256]) * 15 + b"\1",
            span_id=number.to_bytes(7, "big") + b"\1",
            name="llm call",
            start_time_unix_nano=start,
            end_time_unix_nano=start + 5_000_000,
        )
        for key, value in (("gen_ai.request.model", "gpt-4o"), ("input.value", text)):
            attribute = span.attributes.add(key=key)
            attribute.value.string_value = value
    return request


def as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(request)
    for resource_spans in document["resourceSpans"]:
        for scope_spans in resource_spans["scopeSpans"]:
            for span, message in zip(
                scope_spans["spans"], request.resource_spans[0].scope_spans[0].spans, strict=True
            ):
                span["traceId"] = message.trace_id.hex()
                span["spanId"] = message.span_id.hex()
    return document


async def post(client: httpx.AsyncClient, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post(URL, content=body, headers={"Content-Type": PROTOBUF} | named)


@pytest.mark.parametrize("url", [URL, "/v1/traces"])
async def test_a_protobuf_export_is_kept_and_answered_in_protobuf(
    client: httpx.AsyncClient, log: Log, url: str
) -> None:
    response = await client.post(
        url, content=export(3).SerializeToString(), headers={"Content-Type": PROTOBUF}
    )

    assert response.status_code == 200
    assert response.headers["content-type"] == PROTOBUF
    assert ExportTraceServiceResponse.FromString(response.content) == ExportTraceServiceResponse()
    events = await log.events()
    assert len(events) == 3
    assert all(isinstance(event, Observation) and not event.partial for event in events)
    assert {
        (event.type, event.model, event.project_id)
        for event in events
        if isinstance(event, Observation)
    } == {("GENERATION", "gpt-4o", "default")}


async def test_observations_have_the_key_of_the_credential_and_never_one_of_the_payload(
    client: httpx.AsyncClient, log: Log
) -> None:
    request = export(1)
    (span,) = request.resource_spans[0].scope_spans[0].spans
    for name in ("api_key", "langfuse.observation.api_key", "public_key"):
        span.attributes.add(key=name).value.string_value = "pk-of-another"
    assert (await post(client, request.SerializeToString())).status_code == 200
    (event,) = await log.events()
    assert isinstance(event, Observation)
    assert event.api_key == "pk-tm-dev"


async def test_json_says_the_same_as_protobuf(client: httpx.AsyncClient, log: Log) -> None:
    request = export(5)
    response = await client.post(
        URL, json=as_json(request), headers={"Content-Type": "application/json; charset=utf-8"}
    )
    assert (response.status_code, response.json()) == (200, {})
    from_json = {event.trace_id: event for event in await log.events()}

    await post(client, request.SerializeToString())

    events = await log.events()
    assert len(events) == 10
    assert all(from_json[event.trace_id] == event for event in events)


async def test_gzip_and_chunked_bodies_are_understood(client: httpx.AsyncClient, log: Log) -> None:
    body = gzip.compress(export(200).SerializeToString())
    halves = gzip.compress(b"") + body  # several members make one body

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    for content in (body, chunks(), halves):
        response = await post(client, content, content_encoding="gzip")
        assert response.status_code == 200
    assert len(await log.events()) == 600


@pytest.mark.parametrize(
    ("body", "content_type", "answered"),
    [
        (b"", PROTOBUF, b""),
        (b"{}", "application/json", b"{}"),
        (b'{"resourceSpans":[]}', "application/json", b"{}"),
    ],
)
async def test_an_export_of_nothing_is_fine(
    client: httpx.AsyncClient, body: bytes, content_type: str, answered: bytes
) -> None:
    response = await client.post(URL, content=body, headers={"Content-Type": content_type})

    assert (response.status_code, response.content) == (200, answered)


def _json_span(**changes: Any) -> bytes:
    document = as_json(export())
    span = document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span.update(changes)
    return json.dumps(document).encode()


BAD = {
    "text": (b"hello", "text/plain", "Invalid content type"),
    "no type": (b"{}", "", "Invalid content type"),
    "not protobuf": (b"\xff\xff\xff", PROTOBUF, "not an OTLP trace export"),
    "not JSON": (b"{", "application/json", "not JSON"),
    "a JSON list": (b"[]", "application/json", "not a JSON object"),
    "not UTF-8": (b'{"a":"\xff"}', "application/json", "not UTF-8"),
    "short trace id": (_json_span(traceId="abcd"), "application/json", "spans[0].traceId"),
    "no span id": (_json_span(spanId=None), "application/json", "spans[0].spanId is missing"),
    "attributes are an object": (_json_span(attributes={}), "application/json",
        "attributes is not an array"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "content_type", "fault"), BAD.values(), ids=BAD.keys())
async def test_a_malformed_export_is_a_400_that_says_why(
    client: httpx.AsyncClient, log: Log, body: bytes, content_type: str, fault: str
) -> None:
    response = await client.post(URL, content=body, headers={"Content-Type": content_type})

    assert response.status_code == 400
    assert fault in response.json()["error"]
    assert response.json()["message"] == response.json()["error"]
    assert await log.events() == []


@pytest.mark.parametrize(
    ("version", "status"),
    [("4", 200), ("3", 200), ("5", 400), ("four", 400), ("-1", 400), ("", 400)],
)
async def test_newer_ingestion_versions_are_refused(
    client: httpx.AsyncClient, version: str, status: int
) -> None:
    response = await post(client, b"", x_langfuse_ingestion_version=version)

    assert response.status_code == status


@pytest.mark.parametrize("encoding", ["deflate", "zstd", "br", "gzip, gzip"])
async def test_an_unknown_content_encoding_is_a_415(
    client: httpx.AsyncClient, encoding: str
) -> None:
    response = await post(client, b"x", content_encoding=encoding)

    assert response.status_code == 415
    assert encoding in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"plain",
        gzip.compress(b"x" * 1000, mtime=0)[:-9],
        zlib.compress(b"x"),
        gzip.compress(b"", mtime=0) + b"junk",
    ],
)
async def test_gzip_that_is_none_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    response = await post(client, body, content_encoding="gzip")

    assert response.status_code == 400
    assert "gzip" in response.json()["message"]


@pytest.mark.parametrize("said", ["abc", "-1", 2**70, -1, True, {"low": "x"}, [1]])
async def test_a_json_time_that_is_none_refuses_its_span_alone(
    client: httpx.AsyncClient, log: Log, said: Any
) -> None:
    document = as_json(export(3))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["startTimeUnixNano"] = said

    partial = (await client.post(URL, json=document)).json()["partialSuccess"]

    assert partial["rejectedSpans"] == "1"
    assert "startTimeUnixNano is not nanoseconds since 1970" in partial["errorMessage"]
    assert len(await log.events()) == 2
    (letter,) = await log.dead_letters()
    assert letter["reason"] == "invalid_time"


@pytest.mark.parametrize("said", [None, "", 0, "0", {"low": 0, "high": 0}])
async def test_a_json_time_that_is_unknown_is_no_fault(
    client: httpx.AsyncClient, log: Log, said: Any
) -> None:
    document = as_json(export(1))
    document["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["startTimeUnixNano"] = said

    assert (await client.post(URL, json=document)).json() == {}
    assert len(await log.events()) == 1


async def test_spans_with_impossible_times_are_refused_one_by_one(
    client: httpx.AsyncClient, log: Log
) -> None:
    request = export(3)
    late = request.resource_spans[0].scope_spans[0].spans[1]
    late.start_time_unix_nano = late.end_time_unix_nano = time.time_ns() + 10 * 86_400 * 10**9

    answered = await post(client, request.SerializeToString())
    json_answered = await client.post(URL, json=as_json(request))

    partial = ExportTraceServiceResponse.FromString(answered.content).partial_success
    assert (answered.status_code, partial.rejected_spans) == (200, 1)
    assert late.span_id.hex() in partial.error_message
    assert json_answered.json()["partialSuccess"]["rejectedSpans"] == "1"
    assert len(await log.events()) == 4
    letters = await log.dead_letters()
    assert {(letter["reason"], letter["id"]) for letter in letters} == {
        ("start_in_future", letters[0]["id"])
    }


async def test_a_public_key_alone_may_not_send_traces(client: httpx.AsyncClient) -> None:
    response = await client.post(
        URL,
        content=b"",
        headers={"Content-Type": PROTOBUF, "Authorization": "Bearer pk-tm-dev"},
        auth=httpx.Auth(),
    )

    assert response.status_code == 403
    assert response.json() == {
        "message": "Access Scope Denied: the credential lacks the scope 'ingest'"
    }


async def test_metrics_are_accepted_and_dropped(client: httpx.AsyncClient, log: Log) -> None:
    response = await client.post("/api/public/otel/v1/metrics", json={"resourceMetrics": [{}]})

    assert (response.status_code, response.json()) == (200, {})
    assert await log.events() == []


class TestLimits:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            otlp_body_max_bytes=20_000,
            decompressed_max_bytes=60_000,
            event_max_bytes=10_000,
            spans_max=50,
            batch_max_bytes=100_000,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
        )

    async def test_a_body_above_the_limit_is_a_413_with_and_without_its_length(
        self, client: httpx.AsyncClient
    ) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(30):
                yield b"x" * 1000

        before = times_reached("otlp_body_max_bytes")
        for content in (b"x" * 20_001, chunks()):
            response = await post(client, content)
            assert response.status_code == 413
            assert "larger than 20000 bytes" in response.json()["message"]
        assert times_reached("otlp_body_max_bytes") == before + 2

    async def test_a_decompression_bomb_is_a_413(self, client: httpx.AsyncClient) -> None:
        response = await post(client, gzip.compress(bytes(10_000_000)), content_encoding="gzip")

        assert response.status_code == 413
        assert "decompressed body is larger than 60000" in response.json()["message"]

    async def test_too_many_spans_are_a_413(self, client: httpx.AsyncClient, log: Log) -> None:
        before = times_reached("spans_max")
        response = await post(client, export(51).SerializeToString())

        assert response.status_code == 413
        assert "more than 50 spans" in response.json()["message"]
        assert times_reached("spans_max") == before + 1
        assert await log.events() == []

    @pytest.mark.parametrize("start_ns", [None, 1])
    async def test_a_resource_that_would_be_written_out_too_often_is_a_413(
        self, client: httpx.AsyncClient, log: Log, start_ns: int | None
    ) -> None:
        """Whether the spans are taken or refused one by one: dead letters take room as well."""
        request = export(40, start_ns=start_ns)
        attribute = request.resource_spans[0].resource.attributes.add(key="k")
        attribute.value.string_value = "x" * 5_000
        before = times_reached("batch_max_bytes")

        response = await post(client, request.SerializeToString())

        assert response.status_code == 413
        assert "more than 100000 bytes" in response.json()["message"]
        assert times_reached("batch_max_bytes") == before + 1
        assert await log.events() == []
        assert await log.dead_letters() == []

    async def test_a_span_above_the_limit_is_refused_and_the_others_are_taken(
        self, client: httpx.AsyncClient, log: Log
    ) -> None:
        request = export(2)
        request.resource_spans[0].scope_spans[0].spans[0].attributes[1].value.string_value = (
            "x" * 12_000
        )

        response = await post(client, request.SerializeToString())

        partial = ExportTraceServiceResponse.FromString(response.content).partial_success
        assert (response.status_code, partial.rejected_spans) == (200, 1)
        assert len(await log.events()) == 1
        (letter,) = await log.dead_letters()
        assert letter["reason"] == "event_too_large"


def _mutations(body: bytes) -> Iterator[bytes]:
    for position in range(0, len(body), 7):
        yield body[:position] + bytes([body[position] ^ 0x41]) + body[position + 1 :]
        yield body[:position]


async def test_damaged_exports_are_answered_and_never_a_500(client: httpx.AsyncClient) -> None:
    for body, content_type in (
        (export(2).SerializeToString(), PROTOBUF),
        (json.dumps(as_json(export(1))).encode(), "application/json"),
    ):
        for damaged in _mutations(body):
            response = await client.post(
                URL, content=damaged, headers={"Content-Type": content_type}
            )
            assert response.status_code in {200, 400}, damaged
