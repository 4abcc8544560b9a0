"""The gRPC server of OTLP: its options, its methods, its start and its stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import grpc
import structlog
from grpc._cython import cygrpc
from grpc.aio import _server as aio_server

from producers.gateway.http.body_quota import BodyQuota, BodyQuotaLimits, NamedLimit
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.endpoint import Endpoint
from producers.gateway.otlp_endpoints import Metrics, Traces
from producers.gateway.otlp_grpc.calls import Method, Reading
from producers.gateway.otlp_grpc.health import SERVICE as HEALTH
from producers.gateway.otlp_grpc.health import Health
from producers.settings import OtlpGrpcSettings

TRACES: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
METRICS: Final = "opentelemetry.proto.collector.metrics.v1.MetricsService"
KEEPALIVE_TIMEOUT_S: Final = 20
AGE_GRACE_S: Final = 30
"""Time to finish the calls of a connection that has reached its maximum age."""
STREAM_WINDOW_BYTES: Final = 64 * 1024
"""Maximum bytes that a stream can send before its message is received."""
_IDENTITY_AND_GZIP: Final = 0b101
"""Bits of ``grpc_compression_algorithm``."""
CHECK_INTERVAL_S: Final = 1.0
"""Interval at which the server is checked, and started again if it has ended."""

log = structlog.get_logger(__name__)


class GrpcTraces(Traces):
    name = "otlp_grpc_traces"


class GrpcMetrics(Metrics):
    name = "otlp_grpc_metrics"


EXPORTS: Final[dict[str, type[Endpoint]]] = {TRACES: GrpcTraces, METRICS: GrpcMetrics}
"""Services for exports, with their endpoints."""


class _CallServer(cygrpc.AioServer):  # type: ignore[misc]
    """grpcio's server with a different response to calls of unknown methods.

    grpcio decodes the name of an unknown method outside any handler, so a name that is not UTF-8
    would end the whole server. Calls of registered methods are not passed to ``_request_call``.
    """

    async def _request_call(self) -> Any:
        """Refuse each call of an unknown method; never return."""
        refusing: set[asyncio.Task[None]] = set()
        while True:
            task = asyncio.create_task(_refuse_unknown(await super()._request_call()))
            refusing.add(task)
            task.add_done_callback(refusing.discard)


async def _refuse_unknown(state: Any) -> None:
    loop = asyncio.get_running_loop()
    context = cygrpc._ServicerContext(state, None, None, loop)  # noqa: SLF001
    with suppress(cygrpc.AbortError, cygrpc.ExecuteBatchError):  # the client may be gone
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "unknown method")


class _Server(aio_server.Server):  # type: ignore[misc]
    """``grpc.aio.Server`` on ``_CallServer``."""

    def __init__(self, options: Mapping[str, int]) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _CallServer(self._loop, None, (), (), tuple(options.items()), None)


class OtlpGrpcServer:
    """Serve OTLP on one port with the endpoints of OTLP over HTTP."""

    def __init__(self, context: GatewayContext, settings: OtlpGrpcSettings) -> None:
        self._context = context
        self._settings = settings
        self._server: _Server | None = None

    @asynccontextmanager
    async def running(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve during the block, and yield the port; at its end, finish accepted calls.

        Raises:
            OSError: the port cannot be listened on.
        """
        # grpcio logs a traceback for metadata that is not UTF-8.
        logging.getLogger("grpc").setLevel(logging.CRITICAL)
        bound = await self._start(host, port)
        restarting = asyncio.create_task(self._restart_when_ended(host, bound))
        try:
            yield bound
        finally:
            restarting.cancel()
            await asyncio.gather(restarting, return_exceptions=True)
            if self._server is not None:
                await self._server.stop(self._settings.stop_timeout_s)

    async def fault(self) -> str | None:
        """Return why the server is not ready; None while it runs."""
        return None if self._server is not None else "the server is not running"

    async def _start(self, host: str, port: int) -> int:
        server = _Server(_options(self._settings, self._context.settings.otlp_body_max_bytes))
        reading = self._reading()
        for service, endpoint in EXPORTS.items():
            method = Method(endpoint(self._context), reading, self._settings.metadata_max_bytes)
            _register(server, service, "Export", method.serve)
        retry_after_s = self._context.settings.retry_after_s
        health = Health(reading, EXPORTS, retry_after_s)
        _register(server, HEALTH, "Check", health.check)
        try:
            bound = server.add_insecure_port(_address(host, port))
        except RuntimeError as error:
            raise OSError(str(error)) from error
        await server.start()
        self._server = server
        return int(bound)

    async def _restart_when_ended(self, host: str, port: int) -> None:
        """Start a new server whenever grpcio has ended one because of an internal exception."""
        while True:
            if self._server is not None:
                try:
                    if await self._server.wait_for_termination(CHECK_INTERVAL_S):
                        continue  # it still runs
                    reason = "unknown"
                except Exception as error:  # noqa: BLE001  the server is replaced after any error
                    reason = repr(error)
                self._server = None
                log.error("otlp_grpc_server_ended", reason=reason)
            try:
                await self._start(host, port)
            except OSError as error:
                log.warning("otlp_grpc_server_not_started", reason=str(error))
                await asyncio.sleep(CHECK_INTERVAL_S)

    def _reading(self) -> Reading:
        settings, gateway = self._settings, self._context.settings
        quota = BodyQuota(
            BodyQuotaLimits(
                slots=settings.reading_max,
                slots_of_project=settings.reading_of_project_max,
                waiting=NamedLimit("reading_waiting_max", settings.reading_waiting_max),
                timeout_s=NamedLimit("reading_wait_timeout_s", settings.reading_wait_timeout_s),
                rate_bytes_per_s=NamedLimit("reading_max", gateway.body_rate_min_bytes_per_s),
            )
        )
        return Reading(quota, gateway.body_timeout_s, "reading_max")


def _register(server: _Server, service: str, method: str, handler: Any) -> None:
    """Register a method with a stream of requests, so that metadata is checked before reading."""
    served = grpc.stream_unary_rpc_method_handler(handler)
    server.add_registered_method_handlers(service, {method: served})


def _options(settings: OtlpGrpcSettings, message_max_bytes: int) -> dict[str, int]:
    """Return gRPC's channel arguments."""
    return {
        "grpc.max_receive_message_length": message_max_bytes,
        # gRPC would decompress without a limit.
        "grpc.per_message_decompression": 0,
        "grpc.compression_enabled_algorithms_bitset": _IDENTITY_AND_GZIP,
        "grpc.max_metadata_size": settings.metadata_max_bytes,
        "grpc.absolute_max_metadata_size": settings.metadata_max_bytes,
        "grpc.max_concurrent_streams": settings.streams_of_connection_max,
        "grpc.max_allowed_incoming_connections": settings.connections_max,
        "grpc.server_handshake_timeout_ms": _ms(settings.handshake_timeout_s),
        "grpc.max_connection_idle_ms": _ms(settings.idle_max_s),
        "grpc.max_connection_age_ms": _ms(settings.age_max_s),
        "grpc.max_connection_age_grace_ms": _ms(AGE_GRACE_S),
        "grpc.http2.min_ping_interval_without_data_ms": _ms(settings.ping_interval_min_s),
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.keepalive_time_ms": _ms(settings.keepalive_s),
        "grpc.keepalive_timeout_ms": _ms(KEEPALIVE_TIMEOUT_S),
        "grpc.server.max_pending_requests": settings.unstarted_calls_max,
        "grpc.server.max_pending_requests_hard_limit": settings.unstarted_calls_max,
        "grpc.http2.bdp_probe": 0,
        "grpc.http2.lookahead_bytes": STREAM_WINDOW_BYTES,
        "grpc.so_reuseport": 0,
    }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
