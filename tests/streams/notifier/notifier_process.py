"""Deliveries to webhooks and channels as a process that a test may kill.

Run as ``python -m tests.streams.notifier.notifier_process``, configured by the environment.
"""

from __future__ import annotations

import asyncio
import signal

from deploy.logs import configure_logs
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.jobs.kind import JobContext
from streams.jobs.kinds.channel_delivery import ChannelDeliveries
from streams.jobs.kinds.webhook_delivery import WebhookDeliveries
from streams.jobs.stage import JobStage


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka = KafkaSettings()
    control = ControlLog(kafka)
    await control.start()
    stages = [
        JobStage(kind, JobContext(kafka, control, WebhookSettings(), kind.settings()))
        for kind in (WebhookDeliveries, ChannelDeliveries)
    ]
    for stage in stages:
        stage.start()
    print("ready", flush=True)
    await stop.wait()
    for stage in stages:
        await stage.stop()
    await control.stop()


if __name__ == "__main__":
    asyncio.run(main())
