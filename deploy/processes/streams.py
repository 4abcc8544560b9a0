"""Run `tracemill streams`: all stages of stream processing in one Faust worker."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.own_ports import forbidden_ports
from deploy.probes import Probe, ProbeServer
from deploy.processes.prepared import run_without_store
from deploy.settings import ProcessSettings
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, OtlpGrpcSettings, WebhookSettings
from producers.tiers.log import TierLog
from streams.alerting.settings import AlertingSettings
from streams.jobs.registry import KINDS
from streams.observations.settings import StreamsSettings
from streams.placement.settings import PlacementSettings
from streams.quarantine.settings import QuarantineSettings
from streams.rollups.settings import ProjectSettings
from streams.runtime.worker import Streams


async def main(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Run the streams until ``stop`` is set."""
    kafka, store_settings = KafkaSettings(), StoreSettings()
    store = Store(store_settings)
    try:
        await run_without_store(
            process,
            kafka,
            store,
            stop,
            lambda: _run(process, kafka, store_settings, store, stop),
        )
    finally:
        await store.close()


async def _run(
    process: ProcessSettings,
    kafka: KafkaSettings,
    store_settings: StoreSettings,
    store: Store,
    stop: asyncio.Event,
) -> None:
    async with AsyncExitStack() as stack:
        control = ControlLog(kafka, outlines=True)
        await control.start()
        stack.push_async_callback(control.stop)
        tiers = TierLog(kafka)
        stack.push_async_callback(tiers.stop)
        await tiers.start()
        webhooks = WebhookSettings()
        forbidden = forbidden_ports(
            process, kafka, store_settings, OtlpGrpcSettings(), webhooks.forbidden_ports
        )
        streams = Streams(
            kafka,
            store,
            control,
            StreamsSettings(),
            ProjectSettings(),
            {name: kind.settings() for name, kind in KINDS.items()},
            webhooks.model_copy(update={"forbidden_ports": forbidden}),
            QuarantineSettings(),
            PlacementSettings(),
            alerting_settings=AlertingSettings(),
            tiers=tiers,
        )
        probes = {"stages": _stages_probe(streams), "clock": streams.clock.fault}
        async with ProbeServer(process, probes, streams.work).running():
            await streams.run(stop)


def _stages_probe(streams: Streams) -> Probe:
    async def probe() -> str | None:
        return None if streams.is_ready else "partitions are being restored"

    return probe
