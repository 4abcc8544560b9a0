"""Compose the gateway: the ASGI application that receives events from SDKs and exporters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from producers.control.auth import Authenticator, Principal
from producers.control.log import ControlLog
from producers.disk import DiskFloor, DiskSettings
from producers.encoded_slashes import routed, shown_path
from producers.gateway.http.admission import AdmissionGate
from producers.gateway.http.context import GatewayContext
from producers.gateway.http.in_flight import InFlightBytes
from producers.gateway.langfuse.ingestion import Ingestion
from producers.gateway.langfuse.score_deletion import ScoreDeletion
from producers.gateway.langfuse.scores import Scores
from producers.gateway.langfuse.trace_deletion import NativeTraceDeletions, TraceDeletions
from producers.gateway.limits.project_limits import ProjectLimits
from producers.gateway.otlp_endpoints import Metrics, Traces
from producers.gateway.publisher import RECORD_OVERHEAD_BYTES, EventPublisher
from producers.gateway.recent_traces import RecentTraces
from producers.gateway.score_configs import configs_of
from producers.options_requests import ServeOptionsRequests
from producers.settings import GatewaySettings, KafkaSettings, LimitsSettings
from producers.usage.counts import UsageCounts

CORS_MAX_AGE_S: Final = 86_400


class Gateway:
    """The ASGI application. It can serve requests only within a block of ``running``."""

    def __init__(
        self,
        kafka: KafkaSettings,
        gateway: GatewaySettings,
        control: ControlLog,
        publisher: EventPublisher | None = None,
        disk: DiskFloor | None = None,
        limits: LimitsSettings | None = None,
        *,
        authenticator: Authenticator | None = None,
        usage: UsageCounts | None = None,
    ) -> None:
        gateway = _within_records(gateway, kafka)
        self._admission = AdmissionGate(gateway)
        self.publisher = publisher or EventPublisher(kafka, gateway, self._admission.no_backlog)
        self.context = context = GatewayContext(
            settings=gateway,
            authenticator=authenticator or Authenticator(control),
            publisher=self.publisher,
            in_flight=InFlightBytes(gateway.in_flight_max_bytes),
            admission=self._admission,
            disk=disk or DiskFloor(DiskSettings(paths="")),
            limits=ProjectLimits(limits or LimitsSettings(), control, usage or UsageCounts()),
            recent_traces=RecentTraces(gateway.recent_traces_max_bytes),
            score_configs=configs_of(control.view),
        )
        traces, deletions = Traces(context), TraceDeletions(context)
        self._scores = Scores(context)
        native_deletions = NativeTraceDeletions(context)
        self._app = Starlette(
            routes=[
                # Endpoints are bare ASGI applications: the hot path creates no request object.
                Route("/api/public/otel/v1/traces", traces, methods=["POST"]),
                Route("/v1/traces", traces, methods=["POST"]),
                Route("/api/public/otel/v1/metrics", Metrics(context), methods=["POST"]),
                Route("/api/public/ingestion", Ingestion(context), methods=["POST"]),
                Route("/api/public/scores", self._scores, methods=["POST"]),
                Route(
                    "/api/public/scores/{scoreId:path}",
                    ScoreDeletion(context),
                    methods=["DELETE"],
                ),
                Route("/api/public/traces", deletions, methods=["DELETE"]),
                Route("/api/public/traces/{traceId:path}", deletions, methods=["DELETE"]),
                Route("/v1/traces", native_deletions, methods=["DELETE"]),
                Route("/v1/traces/{traceId}", native_deletions, methods=["DELETE"]),
            ],
            middleware=[
                Middleware(ServeOptionsRequests),
                Middleware(
                    CORSMiddleware,
                    allow_origins=["*"],
                    allow_methods=["*"],
                    allow_headers=["*"],
                    max_age=CORS_MAX_AGE_S,
                ),
            ],
            exception_handlers={404: _no_such_route, 405: _wrong_method},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect to the broker for the block, and deliver pending events at its end.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        await self.publisher.start()
        try:
            yield
        finally:
            self._admission.close()
            await self.publisher.stop()

    async def send_scores(self, principal: Principal, body: bytes) -> None:
        """Accept the body of ``POST /api/public/scores`` from a caller that is authenticated.

        Raises:
            RequestError: the scores are refused, or a limit of the project is reached.
            OverloadedError, UndeliveredError: they were not accepted; the caller may repeat them.
        """
        await self._scores.serve_from_console(principal, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(routed(scope), receive, send)


def create_gateway(
    kafka: KafkaSettings,
    gateway: GatewaySettings,
    control: ControlLog,
    disk: DiskFloor | None = None,
    limits: LimitsSettings | None = None,
    *,
    authenticator: Authenticator | None = None,
    usage: UsageCounts | None = None,
) -> Gateway:
    """Build the gateway; ``control`` must have been started.

    Without ``disk``, no disk is watched. Without ``usage``, quotas are counted only in this
    process.
    """
    return Gateway(
        kafka,
        gateway,
        control,
        disk=disk,
        limits=limits,
        authenticator=authenticator,
        usage=usage,
    )


def _within_records(gateway: GatewaySettings, kafka: KafkaSettings) -> GatewaySettings:
    """Limit lines to the size of a record, because the broker always rejects larger ones."""
    largest = kafka.record_max_bytes - RECORD_OVERHEAD_BYTES
    limits = ("event_max_bytes", "dead_letter_max_bytes")
    return gateway.model_copy(
        update={limit: min(getattr(gateway, limit), largest) for limit in limits}
    )


async def _no_such_route(request: Request, _: Exception) -> Response:
    return JSONResponse(
        {"message": f"no such path: {shown_path(request.scope)}", "error": "NotFoundError"},
        status_code=404,
    )


async def _wrong_method(request: Request, _: Exception) -> Response:
    # Several routes may have the path; Starlette lists only the methods of the first one.
    scope = request.scope
    allowed = {
        method
        for route in request.app.routes
        if route.matches(scope)[0] is not Match.NONE
        for method in route.methods
    }
    return JSONResponse(
        {
            "message": f"{shown_path(request.scope)} does not allow {request.method}",
            "error": "MethodNotAllowedError",
        },
        status_code=405,
        headers={"Allow": ", ".join(sorted(allowed))},
    )
