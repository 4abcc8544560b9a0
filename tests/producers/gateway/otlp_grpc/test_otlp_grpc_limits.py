"""OTLP over gRPC under load and abuse: overload asks to wait, and nobody's calls end another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc
import pytest

from producers.control.keys import new_api_key
from producers.control.kinds.project import Project
from producers.control.log import ControlLog
from producers.gateway.app import Gateway
from producers.gateway.otlp_grpc.server import TRACES, OtlpGrpcServer
from producers.settings import GatewaySettings, OtlpGrpcSettings
from tests.producers.gateway.conftest import DELIVERY_TIMEOUT_S, Log, times_reached
from tests.producers.gateway.otlp_grpc.raw_http2 import (
    END_STREAM,
    RST_STREAM,
    Connection,
    frame,
    grpc_headers,
    grpc_message,
    status_in,
)
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import (
    AUTHORIZED,
    EXPORT,
    Call,
    refusal_of,
    retry_after_s,
)
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import address as address  # noqa: PLC0414  a fixture
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import call as call  # noqa: PLC0414
from tests.producers.gateway.otlp_grpc.test_otlp_grpc import (
    grpc_settings as grpc_settings,  # noqa: PLC0414
)
from tests.producers.gateway.test_otlp_route import export

MIB = 2**20
WITHIN_S = 60
BASIC = AUTHORIZED[0][1].encode()


class TestBodies:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(
            otlp_body_max_bytes=MIB,
            decompressed_max_bytes=4 * MIB,
            delivery_timeout_s=DELIVERY_TIMEOUT_S,
        )

    async def test_a_message_above_the_limit_is_not_to_be_sent_again(self, call: Call) -> None:
        error = await refusal_of(call(b"\0" * (MIB + 1)))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_after_s(error) is None

    async def test_a_message_is_decompressed_up_to_the_limit_and_no_further(
        self, call: Call
    ) -> None:
        reached = times_reached("decompressed_max_bytes")
        bomb = b"\0" * 100 * MIB
        error = await refusal_of(call(bomb, compression=grpc.Compression.Gzip))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert retry_after_s(error) is None
        assert times_reached("decompressed_max_bytes") == reached + 1

    async def test_too_much_metadata_is_refused(self, call: Call) -> None:
        metadata = (*AUTHORIZED, ("a", "b" * 20_000))
        error = await refusal_of(call(export().SerializeToString(), metadata=metadata))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


class TestOverload:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(retry_after_s=7, delivery_timeout_s=DELIVERY_TIMEOUT_S)

    async def test_a_full_publisher_asks_to_wait(
        self, call: Call, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            gateway.publisher._pending, "total", gateway.publisher._pending.max_bytes
        )
        error = await refusal_of(call(export().SerializeToString()))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert retry_after_s(error) == 7

    async def test_memory_in_use_by_others_asks_to_wait(self, call: Call, gateway: Gateway) -> None:
        in_flight = gateway.context.in_flight
        with in_flight.lease("another") as lease:
            lease.take(in_flight._quota.max_bytes)
            error = await refusal_of(call(export().SerializeToString()))
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert retry_after_s(error) == 7
        assert await call(export().SerializeToString()) == b""


class TestStuckCalls:
    @pytest.fixture
    def grpc_settings(self) -> OtlpGrpcSettings:
        return OtlpGrpcSettings(reading_max=4, reading_of_project_max=2, reading_wait_timeout_s=30)

    @pytest.fixture
    async def other_project(self, control: ControlLog) -> Any:
        await control.put(Project(id="grpc-other", name="grpc-other", created_us=0))
        key = new_api_key(
            key_id="grpc-other",
            project_id="grpc-other",
            public_key="pk-o",
            secret="sk-o",
            created_us=0,
        )
        await control.put(key)
        return (("authorization", "Basic cGstbzpzay1v"),)

    @pytest.fixture
    async def stuck(self, address: str) -> AsyncIterator[list[Connection]]:
        """Calls whose messages never arrive: all places of the project, and more that wait."""
        async with AsyncExitStack() as stack:
            opened = []
            for _ in range(6):
                connection = await stack.enter_async_context(Connection.open(address))
                await connection.send_headers(1, grpc_headers(EXPORT, authorization=BASIC))
                await connection.send_data(1, grpc_message(b"x" * 100)[:50])
                opened.append(connection)
            yield opened

    @pytest.mark.usefixtures("stuck")
    async def test_they_do_not_keep_calls_of_any_project_waiting_for_long(
        self, call: Call, other_project: Any, log: Log
    ) -> None:
        message = export().SerializeToString()
        assert await call(message, metadata=other_project) == b""
        assert await call(message) == b""
        assert len(await log.events()) == 2

    async def test_one_that_makes_room_is_asked_to_send_again(
        self, stuck: list[Connection], call: Call
    ) -> None:
        assert await call(export().SerializeToString()) == b""
        answers = [asyncio.ensure_future(each.answer()) for each in stuck]
        answered, waiting = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
        assert {status_in(each.result()) for each in answered} == {grpc.StatusCode.UNAVAILABLE}
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class TestSlowBodies:
    @pytest.fixture
    def gateway_settings(self) -> GatewaySettings:
        return GatewaySettings(body_timeout_s=0.2, delivery_timeout_s=DELIVERY_TIMEOUT_S)

    async def test_a_message_that_does_not_arrive_ends_its_call(self, address: str) -> None:
        reached = times_reached("body_timeout_s")
        async with Connection.open(address) as connection:
            await connection.send_headers(1, grpc_headers(EXPORT, authorization=BASIC))
            answer = await connection.answer()
            assert status_in(answer) == grpc.StatusCode.DEADLINE_EXCEEDED
            assert times_reached("body_timeout_s") == reached + 1


class TestStrangers:
    @pytest.mark.parametrize(
        "path",
        [b"/\xff\xfe", f"/{TRACES}/Exp\xff".encode("latin-1"), b"no slash", b"/", b"/\xed\xa0\x80"],
    )
    async def test_a_path_that_is_no_text_is_an_unknown_method_and_ends_nothing(
        self, address: str, call: Call, path: bytes
    ) -> None:
        async with Connection.open(address) as connection:
            await connection.send_headers(1, grpc_headers(path))
            assert status_in(await connection.answer()) == grpc.StatusCode.UNIMPLEMENTED
        assert await call(export().SerializeToString()) == b""

    @pytest.mark.parametrize(
        "value", [b"\xff\xfe", "Bäsic".encode(), b"Basic \xe4", b"\x80" * 2_000]
    )
    async def test_a_credential_that_is_no_text_is_unauthenticated(
        self, address: str, call: Call, value: bytes
    ) -> None:
        async with Connection.open(address) as connection:
            await connection.send_headers(1, grpc_headers(EXPORT, authorization=value))
            assert status_in(await connection.answer()) == grpc.StatusCode.UNAUTHENTICATED
        assert await call(export().SerializeToString()) == b""

    async def test_metadata_is_limited_before_the_client_has_seen_the_limit(
        self, address: str
    ) -> None:
        reached = times_reached("metadata_max_bytes")
        async with Connection.open(address) as connection:
            headers = grpc_headers(EXPORT, authorization=BASIC, a=b"b" * 300_000)
            await connection.send_headers(1, headers)
            assert status_in(await connection.answer()) == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert times_reached("metadata_max_bytes") == reached + 1

    async def test_a_call_without_a_message_is_an_invalid_argument(self, address: str) -> None:
        for data in (b"", grpc_message(b"abc")[:6]):
            async with Connection.open(address) as connection:
                await connection.send_headers(1, grpc_headers(EXPORT, authorization=BASIC))
                await connection.send_data(1, data, END_STREAM)
                assert status_in(await connection.answer()) == grpc.StatusCode.INVALID_ARGUMENT

    async def test_calls_that_are_reset_at_once_leave_nothing_behind(
        self, address: str, call: Call, gateway: Gateway
    ) -> None:
        for _ in range(10):
            async with Connection.open(address) as connection:
                for stream in range(1, 200, 2):
                    await connection.send_headers(stream, grpc_headers(EXPORT, authorization=BASIC))
                    await connection.send(frame(RST_STREAM, 0, stream, b"\0\0\0\x08"))
        assert await call(export().SerializeToString()) == b""
        assert gateway.context.in_flight._quota.total == 0


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
    return True


class TestConnections:
    @pytest.fixture
    def grpc_settings(self) -> OtlpGrpcSettings:
        return OtlpGrpcSettings(connections_max=2)

    async def test_one_more_than_the_limit_is_closed_and_the_others_are_served(
        self, address: str, call: Call
    ) -> None:
        message = export().SerializeToString()
        assert await call(message) == b""
        async with Connection.open(address) as second:
            await second.send_headers(1, grpc_headers(f"/{TRACES}/None"))
            assert status_in(await second.answer()) == grpc.StatusCode.UNIMPLEMENTED
            async with Connection.open(address) as third:
                assert await third.answer() == b""
            assert await call(message) == b""


class TestStopping:
    async def test_a_call_that_was_accepted_is_finished(
        self, gateway: Gateway, grpc_settings: OtlpGrpcSettings, log: Log, monkeypatch: Any
    ) -> None:
        publishing, go_on = asyncio.Event(), asyncio.Event()
        publish = gateway.publisher.publish

        async def held_back(batch: Any) -> None:
            publishing.set()
            await go_on.wait()
            await publish(batch)

        monkeypatch.setattr(gateway.publisher, "publish", held_back)
        server = OtlpGrpcServer(gateway.context, grpc_settings).running("127.0.0.1", 0)
        port = await server.__aenter__()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = asyncio.ensure_future(
                channel.unary_unary(EXPORT)(export().SerializeToString(), metadata=AUTHORIZED)
            )
            await publishing.wait()
            stopped = asyncio.ensure_future(server.__aexit__(None, None, None))
            async with asyncio.timeout(WITHIN_S):
                while await listens(port):
                    pass
            go_on.set()
            assert await answer == b""
            await stopped
        assert len(await log.events()) == 1

    async def test_a_server_that_grpcio_ends_is_started_again_on_its_port(
        self, gateway: Gateway, grpc_settings: OtlpGrpcSettings
    ) -> None:
        server = OtlpGrpcServer(gateway.context, grpc_settings)
        async with server.running("127.0.0.1", 0) as port:
            assert server._server is not None
            await server._server._server.shutdown(None)
            async with (
                grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
                asyncio.timeout(WITHIN_S),
            ):
                message = export().SerializeToString()
                answer = channel.unary_unary(EXPORT)(
                    message, metadata=AUTHORIZED, wait_for_ready=True
                )
                assert await answer == b""
            assert await server.fault() is None
