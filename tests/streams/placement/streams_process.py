"""Runs all stages, without jobs, until it is killed."""

from __future__ import annotations

import asyncio
import signal

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.logs import configure_logs
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.observations.settings import StreamsSettings
from streams.placement.settings import PlacementSettings
from streams.quarantine.settings import QuarantineSettings
from streams.rollups.settings import ProjectSettings
from streams.runtime.worker import Streams


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    streams = Streams(
        kafka,
        Store(StoreSettings()),
        control,
        StreamsSettings(),
        ProjectSettings(),
        {},
        WebhookSettings(),
        QuarantineSettings(),
        PlacementSettings(),
    )
    await streams.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
