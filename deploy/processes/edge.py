"""Serve the public port: `tracemill gateway`, `query`, or both in one process (`edge`)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.routing import Route

from clickhouse.settings import StoreSettings, TieringSettings
from clickhouse.store import Store
from deploy.backtests import StreamBacktester
from deploy.budget_backtests import StreamBudgetBacktester
from deploy.default_prices import ShippedPrices
from deploy.grpc_port import serving_otlp_grpc
from deploy.own_ports import forbidden_ports
from deploy.price_explanations import BilledPrices
from deploy.probes import Probe, probe_routes, report
from deploy.processes.checks import broker_answers, control_is_current, disk_has_room
from deploy.processes.prepared import until_prepared
from deploy.serving import serving
from deploy.settings import ProcessSettings
from deploy.sketches import sketch_counts
from deploy.stalls import LoopHeartbeat
from producers.control.auth import Authenticator
from producers.control.key_uses import KeyUses
from producers.control.kinds.api_key import ApiKey
from producers.control.kinds.limits import Limits
from producers.control.kinds.project import Project
from producers.control.kinds.score_config import ScoreConfig
from producers.control.log import ControlLog
from producers.disk import DiskFloor, DiskSettings
from producers.documents.log import DocumentLog
from producers.documents.settings import DocumentSettings
from producers.encoded_slashes import without_trailing_slash
from producers.gateway.app import create_gateway
from producers.kafka.broker_clock import BrokerClock
from producers.options_requests import ServeOptionsRequests
from producers.settings import (
    AdminSettings,
    GatewaySettings,
    KafkaSettings,
    KeySettings,
    LimitsSettings,
    OtlpGrpcSettings,
)
from producers.tiers.log import TierLog
from producers.usage.log import UsageLog
from query_api.app import create_query_api, prepare_routes
from query_api.console.settings import ConsoleSettings
from query_api.decisions.feed import following_budgets
from query_api.event_stream.kafka_tail import streaming_events
from query_api.health.pipeline_watch import PipelineWatch
from query_api.health.readiness import Readiness, ReadinessCheck, readiness_checks
from query_api.jobs.feed import following_jobs
from query_api.media.s3_signing import S3Access
from query_api.settings import QuerySettings

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[None]]

METRICS: Final = "/metrics"
OWN_PATHS: Final = frozenset({METRICS, "/healthz", "/readyz"})
SCORES: Final = "/api/public/scores"
TRACES: Final = "/api/public/traces"
NATIVE_TRACES: Final = "/v1/traces"
_GATEWAY_KINDS: Final = (Project, ApiKey, Limits, ScoreConfig)
"""Control records that a process needs if it only ingests."""


def is_ingestion(method: str, path: str) -> bool:
    """Return whether a request belongs to the gateway; all others belong to the query API."""
    if path == SCORES:
        return method == "POST"
    if path.startswith(f"{SCORES}/"):
        return method == "DELETE"
    if path == NATIVE_TRACES:
        return True
    if path == TRACES or path.startswith((f"{TRACES}/", f"{NATIVE_TRACES}/")):
        return method == "DELETE"
    return path.startswith(("/api/public/otel/", "/api/public/ingestion"))


def by_path(
    probes: Application, gateway: Application | None, query: Application | None
) -> Application:
    """Return an application that passes each request to probes, gateway or query API."""

    async def application(scope: Scope, receive: Any, send: Any) -> None:
        path = without_trailing_slash(scope.get("path", ""))
        if path == METRICS and query is not None and _has_credential(scope):
            chosen = query  # the metrics of a project, not of this process
        elif path in OWN_PATHS:
            chosen = probes
        elif gateway is not None and (query is None or is_ingestion(scope["method"], path)):
            chosen = gateway
        else:
            chosen = query or probes
        await chosen(scope, receive, send)

    return application


def _has_credential(scope: Scope) -> bool:
    return any(name == b"authorization" for name, _ in scope.get("headers", ()))


def public_probe_routes(probes: Mapping[str, Probe], readiness: Readiness | None) -> list[Route]:
    """Return the probe routes of a public port.

    With ``readiness``, ``/readyz`` also checks, as ``/api/public/ready`` does, that an event sent
    now would be visible soon.
    """

    async def found() -> Mapping[str, str]:
        own, pipeline = await asyncio.gather(
            report(probes), readiness.check() if readiness else _nothing()
        )
        return {**own, **pipeline}

    return probe_routes(found)


async def _nothing() -> Mapping[str, str]:
    return {}


async def edge(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Serve ingestion and queries on one port, until ``stop``."""
    await _serve(process, stop, ingestion=True, queries=True)


async def gateway(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Serve ingestion only, until ``stop``."""
    await _serve(process, stop, ingestion=True, queries=False)


async def query(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Serve queries only, until ``stop``."""
    await _serve(process, stop, ingestion=False, queries=True)


LogT = TypeVar("LogT", TierLog, DocumentLog)


async def _followed(log: LogT, stack: AsyncExitStack) -> LogT:
    """Follow a log until the stack is closed."""
    stack.push_async_callback(log.stop)
    await log.start()
    return log


def s3_access_of(tiering: TieringSettings) -> S3Access:
    """Return the access to the S3 API of the cold volume, which has the bucket of media, too."""
    return S3Access(
        tiering.aws_endpoint_url,
        tiering.aws_region,
        tiering.aws_access_key_id,
        tiering.aws_secret_access_key.get_secret_value(),
    )


def _without_own_ports(
    settings: QuerySettings,
    process: ProcessSettings,
    kafka: KafkaSettings,
    store: StoreSettings,
    otlp_grpc: OtlpGrpcSettings,
) -> QuerySettings:
    """Return the settings with the installation's own ports forbidden to webhooks."""
    ports = forbidden_ports(process, kafka, store, otlp_grpc, settings.webhooks_forbidden_ports)
    return settings.model_copy(update={"webhooks_forbidden_ports": ports})


async def _serve(
    process: ProcessSettings, stop: asyncio.Event, *, ingestion: bool, queries: bool
) -> None:
    kafka, otlp_grpc, admin = KafkaSettings(), OtlpGrpcSettings(), AdminSettings()
    limits, keys = LimitsSettings(), KeySettings()
    async with AsyncExitStack() as stack:
        store_settings = StoreSettings()
        store = Store(store_settings)
        stack.push_async_callback(store.close)
        if not await until_prepared(process, kafka, store if queries else None, stop):
            return
        disk = DiskFloor(DiskSettings())
        control = ControlLog(kafka, disk, only=None if queries else _GATEWAY_KINDS)
        await control.start()
        stack.push_async_callback(control.stop)
        probes: dict[str, Probe] = {"control log": control_is_current(control)}
        clock = BrokerClock(kafka.clock_skew_max_s)
        if disk.paths:
            probes["disk"] = disk_has_room(disk)
        gateway_app = query_app = None
        authenticator = Authenticator(control, admin)
        await stack.enter_async_context(KeyUses(control, authenticator, keys).running())
        usage = UsageLog(kafka, limits.usage_interval_s)
        await stack.enter_async_context(usage.running())
        # Processes that only answer queries send the scores of the console's annotations.
        sender = create_gateway(
            kafka,
            GatewaySettings(),
            control,
            disk,
            limits,
            authenticator=authenticator,
            usage=usage.counts,
        )
        await stack.enter_async_context(sender.running())
        if ingestion:
            gateway_app, clock = sender, sender.publisher.clock
            probes |= {"broker": broker_answers(sender.publisher), "clock": clock.fault}
        if queries:
            settings = QuerySettings()
            tiers = await _followed(TierLog(kafka, disk), stack)
            documents = await _followed(DocumentLog(kafka, DocumentSettings(), disk), stack)
            decisions = await stack.enter_async_context(
                following_budgets(kafka, settings, control, tiers.book)
            )
            settings = _without_own_ports(settings, process, kafka, store_settings, otlp_grpc)
            watch = PipelineWatch(kafka, settings, clock)
            await stack.enter_async_context(watch.running())
            checks = readiness_checks(control, store, TieringSettings(), watch, clock)
            if disk.paths:
                checks = (*checks, ReadinessCheck("disk", disk_has_room(disk)))
            events = await stack.enter_async_context(streaming_events(kafka, settings, stop))
            jobs = await stack.enter_async_context(following_jobs(kafka, settings))
            query_app = create_query_api(
                store,
                control,
                authenticator,
                settings,
                checks,
                default_prices=ShippedPrices(),
                explainer=BilledPrices(),
                backtester=StreamBacktester(),
                budget_backtester=StreamBudgetBacktester(),
                sketch_counts=sketch_counts,
                limits=limits,
                usage=usage.counts,
                tiers=tiers,
                documents=documents,
                disk=disk,
                decisions=decisions,
                s3=s3_access_of(TieringSettings()),
                fresh_until_us=watch.stored_until_us,
                console=ConsoleSettings(),
                send_scores=sender.send_scores,
                events=events,
                pipeline=watch.progress,
                jobs=jobs,
            )
            prepare_routes(query_app)
        routes = public_probe_routes(probes, query_app.state.readiness if query_app else None)
        own = ServeOptionsRequests(Starlette(routes=routes))
        application = by_path(own, gateway_app, query_app)
        # Exclude the objects of the application from later collections, as they are never freed.
        gc.collect()
        gc.freeze()
        heartbeat = LoopHeartbeat(process.loop_blocked_after_s)
        async with heartbeat.running(), serving(application, process.host, process.port):
            if gateway_app is not None:
                await stack.enter_async_context(
                    serving_otlp_grpc(gateway_app, process.host, otlp_grpc, probes)
                )
            await stop.wait()
