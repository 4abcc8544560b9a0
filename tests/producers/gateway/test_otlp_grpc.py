"""OTLP over gRPC against a real broker: the unmodified exporter, and calls made by hand."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from producers.gateway.app import Gateway
from producers.gateway.otlp_grpc.server import TRACES, OtlpGrpcServer
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
async def channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
def call(channel: grpc.aio.Channel) -> Call:
    """Call a method with a message as it is, and return the answer's."""

    def sent(
        message: bytes, metadata: Any = AUTHORIZED, method: str = EXPORT, **options: Any
    ) -> Any:
        options.setdefault("timeout", ANSWER_WITHIN_S)
        return channel.unary_unary(method)(message, metadata=metadata, **options)

    return sent


async def refusal_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return refused.value


def retry_info(error: grpc.aio.AioRpcError) -> RetryInfo | None:
    """The time after which the status asks for another attempt."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = Status.FromString(value)
            assert status.code == error.code().value[0]
            info = RetryInfo()
            assert status.details[0].Unpack(info)
            return info
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
