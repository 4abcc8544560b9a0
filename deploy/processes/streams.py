"""`tracemill streams`: prices, totals, windows, budgets and webhooks, in one Faust worker."""

from __future__ import annotations

import asyncio

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.probes import Probe, serve_probes
from deploy.settings import ProcessSettings
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.notifier_settings import NotifierSettings
from streams.project_settings import ProjectSettings
from streams.settings import StreamsSettings
from streams.worker import Streams


async def main(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Run until ``stop``."""
    kafka = KafkaSettings()
    store = Store(StoreSettings())
    control = ControlLog(kafka)
    await control.start()
    try:
        streams = Streams(
            kafka,
            store,
            control,
            StreamsSettings(),
            ProjectSettings(),
            NotifierSettings(),
            WebhookSettings(),
        )
        probes = {"stages": _takes_events(streams)}
        async with serve_probes(process.metrics_host, process.metrics_port, probes):
            await streams.run(stop)
    finally:
        await control.stop()
        await store.close()


def _takes_events(streams: Streams) -> Probe:
    async def probe() -> str | None:
        return None if streams.is_ready else "partitions are being restored"

    return probe
