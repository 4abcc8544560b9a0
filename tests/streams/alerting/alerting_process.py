"""The alerting stage as a process that a test may kill.

Run as ``python -m tests.streams.alerting.alerting_process``, configured by the environment.
"""

from __future__ import annotations

import asyncio
import os
import signal

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.logs import configure_logs
from producers.control.log import ControlLog
from producers.settings import KafkaSettings
from streams.alerting.settings import AlertingSettings
from streams.alerting.stage import AlertingStage


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    store = Store(StoreSettings())
    stage = AlertingStage(
        kafka,
        control,
        AlertingSettings(),
        store=store,
        waits_for_events="WAITS_FOR_EVENTS" in os.environ,
    )
    stage.start()
    print("ready", flush=True)
    await stop.wait()
    await stage.stop()
    await control.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
