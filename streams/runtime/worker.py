"""Run the stages in one Faust application, and each kind of job as a task."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from typing import Any

import faust
import structlog
from aiokafka import AIOKafkaProducer

from clickhouse.store import Store
from producers.control.kinds.price import Price
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.broker_clock import BrokerClock
from producers.kafka.clients import new_producer, started
from producers.progress import PartitionProgress
from producers.settings import KafkaSettings, WebhookSettings
from producers.tiers.log import TierLog
from streams.alerting.settings import AlertingSettings
from streams.alerting.stage import AlertingStage
from streams.alerting.stored_spend import StoredSpend
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.tokens import installed_tokens
from streams.core.pricing.valuation import NoTokens, Tokens
from streams.deletion.log_progress import LogProgress
from streams.errors import StreamsStoppedError
from streams.jobs.kind import JobContext
from streams.jobs.registry import KINDS
from streams.jobs.stage import JobStage
from streams.observations.ignored_prices import IgnoredPrices
from streams.observations.readback import StoreHistory
from streams.observations.settings import StreamsSettings
from streams.observations.stage import ObservationsStage
from streams.placement.settings import PlacementSettings
from streams.placement.stage import placement_stage
from streams.quarantine.log import QuarantineLog
from streams.quarantine.settings import QuarantineSettings
from streams.rollups.settings import ProjectSettings
from streams.rollups.stage import ProjectStage
from streams.runtime.app import SUSPENDED_AFTER_S, create_app
from streams.runtime.lag import LagWatch
from streams.runtime.output import KafkaOutput
from streams.runtime.partition_host import PartitionHost, StageSpec
from streams.runtime.sink_progress import SinkProgress
from streams.runtime.suspension import SuspensionGuard

log = structlog.get_logger(__name__)

NewStage = Callable[[KafkaSettings, AIOKafkaProducer], StageSpec[Any]]
"""A function that returns an additional stage, which uses the producer of this worker."""


class Streams:
    """Run all stages and ``more_stages`` in one Faust worker, and each kind of job as a task."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: Store,
        control: ControlLog,
        settings: StreamsSettings,
        project_settings: ProjectSettings,
        job_settings: Mapping[str, Any],
        webhooks: WebhookSettings,
        quarantine_settings: QuarantineSettings,
        placement_settings: PlacementSettings | None = None,
        more_stages: Sequence[NewStage] = (),
        alerting_settings: AlertingSettings | None = None,
        tiers: TierLog | None = None,
    ) -> None:
        self._kafka = kafka
        self._store = store
        self._control = control
        self._settings = settings
        self._project_settings = project_settings
        self._job_settings = job_settings
        self._webhooks = webhooks
        self._quarantine_settings = quarantine_settings
        self._placement_settings = placement_settings or PlacementSettings()
        self._more_stages = more_stages
        self._alerting_settings = alerting_settings or AlertingSettings()
        self._tiers = tiers
        self._hosts: list[PartitionHost[Any]] = []
        self._observations: ObservationsStage | None = None
        self._lag: LagWatch | None = None
        self._repricing = False
        self._book = PriceBook()
        self._ignored_prices = IgnoredPrices()
        self.clock = BrokerClock(kafka.clock_skew_max_s)

    @property
    def is_ready(self) -> bool:
        """Return whether an event that is sent now would be processed."""
        return bool(self._hosts) and all(host.is_ready for host in self._hosts)

    def work(self) -> list[PartitionProgress]:
        """Return the progress of each partition; other threads may call this."""
        return [] if self._lag is None else self._lag.work()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set.

        Raises:
            StreamsStoppedError: Faust stopped.
            StreamsError, KafkaError, TooManyDeadLettersError: a stage failed. A restart continues
                from the last commit.
        """
        kafka, settings = self._kafka, self._settings
        async with AsyncExitStack() as stack:
            guard = SuspensionGuard(SUSPENDED_AFTER_S)
            await stack.enter_async_context(guard.running())
            producer = await started(
                lambda: new_producer(
                    kafka, batch_bytes=settings.output_batch_bytes, may_send=guard.check
                ),
                kafka,
            )
            stack.push_async_callback(producer.stop)
            progress = SinkProgress(kafka, settings.sink_poll_s)
            await progress.start()
            stack.push_async_callback(progress.stop)
            quarantine = QuarantineLog(kafka, self._quarantine_settings, producer)
            await quarantine.start()
            stack.push_async_callback(quarantine.stop)
            app = create_app(kafka, settings.instance_id)
            stage = self._observations = ObservationsStage(
                kafka,
                settings,
                KafkaOutput(producer, self.clock),
                StoreHistory(kafka, self._store, settings, progress),
                self._prices(),
                tokens_or_warning(),
                quarantine,
            )
            projects = ProjectStage(
                app, kafka, self._store, self._project_settings, quarantine, guard
            )
            await projects.start()
            stack.push_async_callback(projects.stop)
            log_progress = LogProgress(kafka, self._placement_settings.progress_poll_s)
            stack.push_async_callback(log_progress.close)
            placement = placement_stage(
                kafka,
                producer,
                self._store,
                self._control,
                self._placement_settings,
                log_progress.wait_until_processed,
            )
            specs = [placement, *(new(kafka, producer) for new in self._more_stages)]
            more = [PartitionHost(spec) for spec in specs]
            in_faust: list[PartitionHost[Any]] = [stage.host, projects.host, *more]
            for host in in_faust:
                host.register(app)
            alerting = AlertingStage(
                kafka,
                self._control,
                self._alerting_settings,
                clock=self.clock,
                guard=guard,
                instance_id=settings.instance_id,
                tiers=self._tiers,
                spend=StoredSpend(kafka, self._store),
                store=self._store,
                waits_for_events=True,
            )
            alerting.start()
            stack.push_async_callback(alerting.stop)
            hosts = [*in_faust, alerting.host]
            for name, job_settings in self._job_settings.items():
                context = JobContext(
                    kafka, self._control, self._webhooks, job_settings, store=self._store
                )
                jobs = JobStage(KINDS[name], context, settings.instance_id, guard)
                jobs.start()
                stack.push_async_callback(jobs.stop)
            lag = self._lag = LagWatch(
                kafka, lambda: chain.from_iterable(host.watched() for host in hosts)
            )
            await lag.start()
            stack.push_async_callback(lag.stop)
            self._control.subscribe(self._on_change)
            await stack.enter_async_context(_running(app))
            for host in (stage.host, *more):
                stack.push_async_callback(host.stop)
            self._hosts = hosts
            await _wait_for_stop(stop, app, guard.suspended, *(host.failed for host in hosts))

    def _prices(self) -> PriceBook:
        self._book = self._book.with_prices(self._control.view[Price].values())
        self._ignored_prices.report(self._book.ignored)
        return self._book

    def _on_change(self, change: Change) -> None:
        """Schedule a new price book; several changes at the same time create only one."""
        if change.kind == "price" and not self._repricing:
            self._repricing = True
            asyncio.get_running_loop().call_soon(self._reprice)

    def _reprice(self) -> None:
        self._repricing = False
        if self._observations is not None:
            self._observations.use_prices(self._prices())


def tokens_or_warning() -> Tokens:
    """Return the tokenizer for events without token counts; log once if it is not installed."""
    tokens = installed_tokens()
    if tokens is None:
        log.warning(
            "usage_not_estimated",
            reason="the package bpe-openai is not installed",
        )
        return NoTokens()
    return tokens


@asynccontextmanager
async def _running(app: faust.App) -> AsyncIterator[None]:
    app.finalize()
    await app.start()
    try:
        yield
    finally:
        await app.stop()


async def _wait_for_stop(
    stop: asyncio.Event, app: faust.App, *failures: asyncio.Future[None]
) -> None:
    """Wait until ``stop`` is set; raise the first failure before that."""
    stopped = asyncio.create_task(stop.wait())
    crashed = asyncio.create_task(app.wait_until_stopped())
    ends: list[asyncio.Future[Any]] = [stopped, crashed, *failures]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for failure in failures:
            if failure in done:
                failure.result()
        if crashed in done and stopped not in done:
            reason = app.crash_reason
            raise StreamsStoppedError(f"Faust stopped: {reason!r}") from reason
    finally:
        stopped.cancel()
        crashed.cancel()
