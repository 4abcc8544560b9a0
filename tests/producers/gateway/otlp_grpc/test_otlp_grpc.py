"""OTLP over gRPC against a real broker: the unmodified exporter, and calls made by hand."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import REGISTRY

from producers.gateway.app import Gateway
from producers.gateway.otlp_grpc.health import SERVICE as HEALTH
from producers.gateway.otlp_grpc.server import METRICS, TRACES, OtlpGrpcServer
from producers.settings import OtlpGrpcSettings
from tests.producers.gateway.conftest import KEYS, Log
from tests.producers.gateway.test_otlp_route import URL, as_json, export
from tracemill.contract import Observation

BASIC = b"Basic " + base64.b64encode(":".join(KEYS).encode())
AUTHORIZED = (("authorization", BASIC.decode()),)
EXPORT = f"/{TRACES}/Export"
ANSWER_WITHIN_S = 60

Call = Callable[..., Any]


@pytest.fixture
def grpc_settings() -> OtlpGrpcSettings:
    return OtlpGrpcSettings()


@pytest.fixture
async def address(gateway: Gateway, grpc_settings: OtlpGrpcSettings) -> AsyncIterator[str]:
    async with OtlpGrpcServer(gateway.context, grpc_settings).running("127.0.0.1", 0) as port:
        yield f"127.0.0.1:{port}"


@pytest.fixture
async def call(address: str) -> AsyncIterator[Call]:
    """Call a method with a message as it is, and return the answer's."""
    async with grpc.aio.insecure_channel(address) as channel:

        def sent(
            message: bytes, metadata: Any = AUTHORIZED, method: str = EXPORT, **options: Any
        ) -> Any:
            options.setdefault("timeout", ANSWER_WITHIN_S)
            return channel.unary_unary(method)(message, metadata=metadata, **options)

        yield sent


async def refusal_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def retry_after_s(error: grpc.aio.AioRpcError) -> int | None:
    """When the status asks for another attempt; None if it does not."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = Status.FromString(value)
            assert status.code == error.code().value[0]
            info = RetryInfo()
            assert status.details[0].Unpack(info)
            return int(info.retry_delay.seconds)
    return None


async def test_the_exporter_of_opentelemetry_delivers_unmodified(address: str, log: Log) -> None:
    exporter = OTLPSpanExporter(
        endpoint=f"http://{address}", insecure=True, headers=(("authorization", BASIC.decode()),)
    )
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(exporter))

    def work() -> None:
        tracer = provider.get_tracer("test")
        for number in range(700):
            with tracer.start_as_current_span(f"call {number}") as span:
                span.set_attribute("gen_ai.request.model", "gpt-4o")
        provider.shutdown()

    await asyncio.to_thread(work)

    events = await log.events()
    assert {event.name for event in events if isinstance(event, Observation)} == {
        f"call {number}" for number in range(700)
    }
    assert {event.project_id for event in events} == {"default"}
    assert len(events) == 700


async def test_a_call_says_the_same_as_a_request_over_http(
    call: Call, client: httpx.AsyncClient, log: Log
) -> None:
    request = export(5)
    assert await call(request.SerializeToString()) == b""
    over_grpc = {event.trace_id: event for event in await log.events()}

    assert (await client.post(URL, json=as_json(request))).status_code == 200

    events = await log.events()
    assert len(events) == 10
    assert all(over_grpc[event.trace_id] == event for event in events)


async def test_gzip_is_understood(call: Call, log: Log) -> None:
    message = export(200, text="hello " * 100).SerializeToString()
    assert await call(message, compression=grpc.Compression.Gzip) == b""
    assert len(await log.events()) == 200


async def test_metrics_are_accepted_and_dropped(call: Call, log: Log) -> None:
    assert await call(b"anything", method=f"/{METRICS}/Export") == b""
    assert await log.events() == []


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Basic " + base64.b64encode(b"pk-tm-dev:wrong").decode()),),
        (("authorization", "Basic not base64"),),
        (("authorization", "Digest x"),),
        (*AUTHORIZED, *AUTHORIZED),
        (("x-api-key", KEYS[1]),),
    ],
)
async def test_a_call_without_a_valid_credential_is_unauthenticated(
    call: Call, log: Log, metadata: Any
) -> None:
    error = await refusal_of(call(export().SerializeToString(), metadata=metadata))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert retry_after_s(error) is None
    assert await log.events() == []


async def test_a_public_key_alone_has_no_permission(call: Call) -> None:
    bearer = (("authorization", f"Bearer {KEYS[0]}"),)
    error = await refusal_of(call(export().SerializeToString(), metadata=bearer))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "message",
    [b"\xff\xff\xff", b"\x1f\x8b", gzip.compress(b"\xff\xff", mtime=0)[:-5], b"\x1f\x8bab" * 9],
)
async def test_a_message_that_is_no_export_is_an_invalid_argument(
    call: Call, message: bytes
) -> None:
    error = await refusal_of(call(message))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert retry_after_s(error) is None
    assert error.details()


async def test_spans_that_cannot_be_stored_are_named_in_the_partial_success(
    call: Call, log: Log
) -> None:
    request = export(3)
    request.resource_spans[0].scope_spans[0].spans[1].trace_id = b"short"
    answer = ExportTraceServiceResponse.FromString(await call(request.SerializeToString()))
    assert answer.partial_success.rejected_spans == 1
    assert "spans[1]" in answer.partial_success.error_message
    assert len(await log.events()) == 2
    assert len(await log.dead_letters()) == 1


@pytest.mark.parametrize(
    "path", ["/no.such/Method", f"/{TRACES}/Other", "/opentelemetry", f"/{HEALTH}/Watch"]
)
async def test_an_unknown_method_is_unimplemented(call: Call, path: str) -> None:
    error = await refusal_of(call(b"", method=path))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_another_compression_is_unimplemented(call: Call) -> None:
    message = export(20).SerializeToString()
    error = await refusal_of(call(message, compression=grpc.Compression.Deflate))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_health_checks_need_no_credential(call: Call) -> None:
    for service in ("", TRACES, METRICS):
        request = HealthCheckRequest(service=service).SerializeToString()
        answer = await call(request, metadata=(), method=f"/{HEALTH}/Check")
        assert HealthCheckResponse.FromString(answer).status == HealthCheckResponse.SERVING
    unknown = HealthCheckRequest(service="x").SerializeToString()
    error = await refusal_of(call(unknown, metadata=(), method=f"/{HEALTH}/Check"))
    assert error.code() == grpc.StatusCode.NOT_FOUND


COUNTED_WITHIN_S = 10


async def test_calls_are_counted_by_method_and_status(call: Call) -> None:
    def counted(status: str) -> float:
        labels = {"route": "otlp_grpc_traces", "status": status}
        return REGISTRY.get_sample_value("tracemill_gateway_requests_total", labels) or 0

    before = counted("OK"), counted("UNAUTHENTICATED")
    await call(export().SerializeToString())
    await refusal_of(call(b"", metadata=()))
    expected = before[0] + 1, before[1] + 1
    async with asyncio.timeout(COUNTED_WITHIN_S):  # a call is counted after it is answered
        while (counted("OK"), counted("UNAUTHENTICATED")) != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_malformed_span_costs_itself_alone_over_grpc_too(call: Call, log: Log) -> None:
    request = export(6)
    request.resource_spans[0].scope_spans[0].spans[2].span_id = b"short"
    partial = ExportTraceServiceResponse.FromString(await call(request.SerializeToString()))

    assert partial.partial_success.rejected_spans == 1
    assert "spans[2].spanId has 5 bytes, not 8" in partial.partial_success.error_message
    assert len(await log.events()) == 5
    (rejected,) = await log.dead_letters()
    assert rejected["reason"] == "invalid_span"
