"""Rates of a project: what exceeds them is refused with the time to wait, and taken after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from prometheus_client import REGISTRY

from deploy.embedded.ports import free_ports
from deploy.serving import serving
from producers.control.keys import new_api_key
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.errors import UndeliveredError
from producers.gateway.app import Gateway, create_gateway
from producers.settings import GatewaySettings, KafkaSettings, LimitsSettings
from tests.producers.gateway.conftest import Log
from tests.producers.gateway.langfuse.ingestion_batches import event, send
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import BASIC, Call, refusal_of, retry_after_s
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import address as address  # noqa: PLC0414  a fixture
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import call as call  # noqa: PLC0414
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import grpc_settings as grpc_settings  # noqa: PLC0414
from tests.producers.gateway.test_otlp_route import URL, export

PROTOBUF = {"content-type": "application/x-protobuf"}
OTHER = ("pk-limits-other", "sk-limits-other")
EVENTS_PER_S, BURST_S = 10, 2
BURST = EVENTS_PER_S * BURST_S


def trace_event(number: int = 0) -> dict[str, Any]:
    return event("trace-create", {"id": f"t{number}"}, event_id=f"e{number}")


def score() -> dict[str, Any]:
    return {"traceId": "t", "name": "quality", "value": 1}


def over_limit(limit: str) -> float:
    name = "tracemill_gateway_over_limit_total"
    return REGISTRY.get_sample_value(name, {"limit": limit}) or 0.0


class Clock:
    """The time that meters see."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def limits_settings() -> LimitsSettings:
    return LimitsSettings(events_per_s=EVENTS_PER_S, burst_s=BURST_S)


@pytest.fixture
async def gateway(
    kafka: KafkaSettings,
    gateway_settings: GatewaySettings,
    control: ControlLog,
    limits_settings: LimitsSettings,
) -> AsyncIterator[Gateway]:
    app = create_gateway(kafka, gateway_settings, control, limits=limits_settings)
    async with app.running():
        yield app


@pytest.fixture
def clock(gateway: Gateway) -> Clock:
    gateway.context.limits.now_s = clock = Clock()
    return clock


async def post(client: httpx.AsyncClient, spans: int, **options: Any) -> httpx.Response:
    body = export(spans).SerializeToString()
    return await client.post(URL, content=body, headers=PROTOBUF, **options)


class TestEvents:
    async def test_a_burst_is_taken_and_what_follows_is_put_off_until_it_is_paid(
        self, client: httpx.AsyncClient, clock: Clock, log: Log
    ) -> None:
        assert (await post(client, BURST)).status_code == 200
        refused = await post(client, 15)
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "1"  # what is known before the body: one event
        clock.now_s += 1
        refused = await post(client, 15)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert "10 events per second" in refused.json()["message"]
        clock.now_s += 1
        assert (await post(client, 15)).status_code == 200
        assert len(await log.events()) == BURST + 15

    async def test_a_request_above_the_burst_is_taken_after_a_pause_and_delays_the_next(
        self, client: httpx.AsyncClient, clock: Clock, log: Log
    ) -> None:
        assert (await post(client, 5 * BURST)).status_code == 200
        refused = await post(client, 1)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) == 4 * BURST_S + 1
        clock.now_s += int(refused.headers["retry-after"])
        assert (await post(client, 1)).status_code == 200
        assert len(await log.events()) == 5 * BURST + 1

    async def test_each_route_refuses_all_of_a_request_in_its_own_form(
        self, client: httpx.AsyncClient, call: Call, clock: Clock, log: Log
    ) -> None:
        assert (await post(client, BURST - 1)).status_code == 200
        message = "the project may send 10 events per second (events_per_s); try again in 1 s"
        otlp = await post(client, 2)
        ingestion = await send(client, trace_event(1), trace_event(2))
        scores = await client.post("/api/public/scores", json=[score(), score()])
        for answer in (otlp, ingestion, scores):
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
        assert otlp.json() == {"message": message}
        assert ingestion.json() == {"message": message, "error": "TooManyRequests"}
        assert scores.json() == {"message": message}
        error = await refusal_of(call(export(2).SerializeToString()))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details() == message
        assert retry_after_s(error) == 1
        assert len(await log.events()) == BURST - 1
        assert (await send(client, trace_event())).status_code == 207  # one is still free

    async def test_what_is_set_aside_counts_as_well(
        self, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        invalid = [event("trace-create", {"id": 7}, event_id=f"e{n}") for n in range(BURST)]
        assert (await send(client, *invalid)).status_code == 207
        assert (await send(client, trace_event())).status_code == 429

    async def test_what_was_not_delivered_counts_for_nothing(
        self,
        client: httpx.AsyncClient,
        clock: Clock,
        gateway: Gateway,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        async def undelivered(_: Any) -> None:
            raise UndeliveredError("not acknowledged")

        with monkeypatch.context() as patched:
            patched.setattr(gateway.publisher, "publish", undelivered)
            for _ in range(3):
                assert (await post(client, BURST)).status_code == 503
        assert (await post(client, BURST)).status_code == 200

    async def test_refusals_are_counted_by_limit(
        self, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        before = over_limit("events_per_s")
        await post(client, BURST)
        await post(client, 1)
        assert over_limit("events_per_s") == before + 1

    async def test_concurrent_requests_together_stay_within_the_burst(
        self, client: httpx.AsyncClient, clock: Clock, log: Log
    ) -> None:
        answers = await asyncio.gather(*(post(client, 6) for _ in range(10)))
        accepted = [each for each in answers if each.status_code == 200]
        assert len(accepted) == BURST // 6
        assert len(await log.events()) == 6 * len(accepted)


class TestBytes:
    @pytest.fixture
    def limits_settings(self) -> LimitsSettings:
        return LimitsSettings(bytes_per_s=1_000, burst_s=1)

    async def test_bytes_are_counted_after_decompression(
        self, client: httpx.AsyncClient, call: Call, clock: Clock
    ) -> None:
        message = export(1, text="a" * 5_000).SerializeToString()
        assert await call(message, compression=grpc.Compression.Gzip) == b""
        refused = await post(client, 1)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 5
        clock.now_s += int(refused.headers["retry-after"])
        assert (await post(client, 1)).status_code == 200

    async def test_a_declared_body_is_refused_before_it_is_read(
        self, gateway: Gateway, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        assert (await post(client, 1)).status_code == 200
        sent: list[Any] = []

        async def unread() -> Any:
            raise AssertionError("the body was read")

        async def answered(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", BASIC), (b"content-length", b"1000000")]
        scope = {
            "type": "http", "method": "POST", "path": URL, "headers": headers, "query_string": b"",
        }  # fmt: skip
        await gateway({**scope, "raw_path": URL.encode(), "root_path": ""}, unread, answered)
        assert sent[0]["status"] == 429


class TestProjects:
    @pytest.fixture
    async def other(
        self, client: httpx.AsyncClient, control: ControlLog
    ) -> AsyncIterator[httpx.AsyncClient]:
        await control.put(Project(id="limits-other", name="limits-other", created_us=0))
        key = new_api_key(
            key_id="limits-other", project_id="limits-other", public_key=OTHER[0],
            secret=OTHER[1], created_us=0,
        )  # fmt: skip
        await control.put(key)
        async with httpx.AsyncClient(
            transport=client._transport, base_url="http://gateway", auth=OTHER
        ) as http_client:
            yield http_client

    @pytest.fixture
    async def limited(self, control: ControlLog) -> AsyncIterator[Callable[..., Any]]:
        async def limit(**values: Any) -> None:
            limits = Limits(id="limits-other", project_id="limits-other", created_us=0, **values)
            await control.put(limits)

        yield limit
        await control.delete(Limits.kind, "limits-other")

    async def test_the_flood_of_one_takes_nothing_of_another(
        self, client: httpx.AsyncClient, other: httpx.AsyncClient, clock: Clock
    ) -> None:
        assert (await post(client, BURST)).status_code == 200
        assert (await post(client, 1)).status_code == 429
        assert (await post(other, BURST)).status_code == 200

    async def test_limits_of_its_own_replace_the_defaults_at_once(
        self, other: httpx.AsyncClient, clock: Clock, limited: Callable[..., Any]
    ) -> None:
        assert (await post(other, BURST)).status_code == 200
        assert (await post(other, 1)).status_code == 429
        await limited(events_per_s=0)
        for _ in range(3):
            assert (await post(other, 10 * BURST)).status_code == 200
        await limited(events_per_s=1, burst_s=1)
        assert (await post(other, 1)).status_code == 200
        assert (await post(other, 1)).status_code == 429

    async def test_what_was_used_stays_used_when_a_record_changes(
        self,
        other: httpx.AsyncClient,
        clock: Clock,
        limited: Callable[..., Any],
        control: ControlLog,
    ) -> None:
        await limited(events_per_s=20, burst_s=1)
        assert (await post(other, 20)).status_code == 200
        for name in ("limits-renamed", "limits-other"):
            await control.put(Project(id="limits-other", name=name, created_us=0))
            assert (await post(other, 1)).status_code == 429
        await limited(events_per_s=20, burst_s=1, quota_events=10**6)
        assert (await post(other, 1)).status_code == 429
        await limited(events_per_s=40, burst_s=2)
        assert (await post(other, 1)).status_code == 429
        clock.now_s += 0.5
        assert (await post(other, 20)).status_code == 200
        assert (await post(other, 1)).status_code == 429
        await control.delete(Limits.kind, "limits-other")  # the default is 10 events per second
        assert (await post(other, 1)).status_code == 429
        clock.now_s += 1
        assert (await post(other, 10)).status_code == 200
        assert (await post(other, 1)).status_code == 429

    async def test_a_smaller_burst_applies_to_what_was_saved_up(
        self, other: httpx.AsyncClient, clock: Clock, limited: Callable[..., Any]
    ) -> None:
        await limited(events_per_s=100, burst_s=10)
        assert (await post(other, 1)).status_code == 200
        await limited(events_per_s=10, burst_s=1)
        assert (await post(other, 10)).status_code == 200
        assert (await post(other, 1)).status_code == 429

    async def test_limits_that_are_removed_and_set_in_turns_still_limit(
        self, other: httpx.AsyncClient, clock: Clock, limited: Callable[..., Any]
    ) -> None:
        accepted = 0
        for _ in range(5):
            await limited(events_per_s=10, burst_s=2)
            accepted += (await post(other, 20)).status_code == 200
            await limited(events_per_s=0)
        assert accepted <= 2

    async def test_requests_with_a_public_key_alone_do_not_use_up_the_projects_rate(
        self, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        bearer = {"authorization": "Bearer pk-tm-dev"}
        async with httpx.AsyncClient(
            transport=client._transport, base_url="http://gateway", headers=bearer
        ) as stranger:
            scores = [score() for _ in range(BURST)]
            assert (await stranger.post("/api/public/scores", json=scores)).status_code == 202
            assert (await stranger.post("/api/public/scores", json=score())).status_code == 429
        assert (await post(client, BURST)).status_code == 200


class TestGateways:
    @pytest.fixture
    def limits_settings(self) -> LimitsSettings:
        return LimitsSettings(events_per_s=4 * EVENTS_PER_S, burst_s=BURST_S, gateways=4)

    async def test_each_of_several_allows_its_part(
        self, client: httpx.AsyncClient, clock: Clock
    ) -> None:
        assert (await post(client, BURST)).status_code == 200
        assert (await post(client, 1)).status_code == 429


class TestExporters:
    """OpenTelemetry's exporters, unmodified, within the time that they try again for."""

    @pytest.fixture
    def limits_settings(self) -> LimitsSettings:
        return LimitsSettings(events_per_s=400, burst_s=0.5)

    async def test_over_grpc_nothing_is_lost(self, address: str, log: Log) -> None:
        headers = (("authorization", BASIC.decode()),)
        await self._lose_nothing(
            GrpcExporter(endpoint=f"http://{address}", insecure=True, headers=headers), log
        )

    async def test_over_http_nothing_is_lost(self, gateway: Gateway, log: Log) -> None:
        (port,) = free_ports(1)
        async with serving(gateway, "127.0.0.1", port):
            endpoint = f"http://127.0.0.1:{port}/v1/traces"
            headers = {"authorization": BASIC.decode()}
            await self._lose_nothing(HttpExporter(endpoint, headers=headers), log)

    async def _lose_nothing(self, exporter: SpanExporter, log: Log) -> None:
        before = over_limit("events_per_s")
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=100))

        def work() -> None:
            tracer = provider.get_tracer("test")
            for number in range(600):
                tracer.start_span(f"call {number}").end()
            provider.shutdown()

        await asyncio.to_thread(work)
        assert over_limit("events_per_s") > before
        assert len(await log.events()) == 600
