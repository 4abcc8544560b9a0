"""`tracemill sink`: rows from Kafka into the store."""

from __future__ import annotations

import asyncio

from clickhouse.settings import StoreSettings
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from deploy.installation_key import secret_box
from deploy.probes import serve_probes
from deploy.processes.checks import store_answers
from deploy.processes.prepared import until_prepared
from deploy.settings import ProcessSettings
from producers.settings import KafkaSettings


async def main(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Run until ``stop``."""
    store = Store(StoreSettings())
    kafka = KafkaSettings()
    probes = {"store": store_answers(store)}
    try:
        if not await until_prepared(process, kafka, store, stop):
            return
        async with serve_probes(process.metrics_host, process.metrics_port, probes):
            await run_sink(kafka, store, SinkSettings(), stop, secret_box(process))
    finally:
        await store.close()
