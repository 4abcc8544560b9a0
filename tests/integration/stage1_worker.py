"""Stage 1 and a sink as one process, to be killed: settings come from the environment."""

from __future__ import annotations

import asyncio
import logging
import signal

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.notifier_settings import NotifierSettings
from streams.project_settings import ProjectSettings
from streams.settings import StreamsSettings
from streams.worker import Streams


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka, store = KafkaSettings(), Store(StoreSettings())
    control = ControlLog(kafka)
    await control.start()
    try:
        await Streams(
            kafka,
            store,
            control,
            StreamsSettings(),
            ProjectSettings(),
            NotifierSettings(),
            WebhookSettings(),
        ).run(stop)
    finally:
        await control.stop()
        await store.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(main())
