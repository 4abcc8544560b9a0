"""Run `tracemill sink`: insert rows from Kafka into the store."""

from __future__ import annotations

import asyncio

from clickhouse.levels.settings import LevelSettings
from clickhouse.settings import StoreSettings
from clickhouse.sink.service import run_sink
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from deploy.installation_key import secret_box
from deploy.probes import ProbeServer
from deploy.processes.checks import store_answers
from deploy.processes.prepared import until_prepared
from deploy.settings import ProcessSettings
from producers.progress import ProgressBoard
from producers.settings import KafkaSettings


async def main(process: ProcessSettings, stop: asyncio.Event) -> None:
    """Run the sink until ``stop`` is set."""
    store = Store(StoreSettings())
    kafka = KafkaSettings()
    probes = {"store": store_answers(store)}
    board = ProgressBoard()
    try:
        if not await until_prepared(process, kafka, store, stop):
            return
        async with ProbeServer(process, probes, board.work).running():
            await run_sink(
                kafka, store, SinkSettings(), stop, secret_box(process), board,
                levels=LevelSettings(),
            )  # fmt: skip
    finally:
        await store.close()
