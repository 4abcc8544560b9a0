"""The stages of projects and alerts, and the notifier, as a process that a test may kill.

Run as ``python -m tests.streams.project_process``, configured by the environment.
"""

from __future__ import annotations

import asyncio
import signal

from clickhouse.settings import StoreSettings
from clickhouse.store import Store
from deploy.logs import configure_logs
from producers.control.log import ControlLog
from producers.settings import KafkaSettings, WebhookSettings
from streams.alerting.settings import AlertingSettings
from streams.alerting.stage import AlertingStage
from streams.alerting.stored_spend import StoredSpend
from streams.jobs.kind import JobContext
from streams.jobs.kinds.webhook_delivery import WebhookDeliveries
from streams.jobs.stage import JobStage
from streams.notifications.settings import NotifierSettings
from streams.rollups.settings import ProjectSettings
from streams.rollups.stage import ProjectStage
from streams.runtime.app import create_app


async def main() -> None:
    configure_logs("streams")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    kafka, store = KafkaSettings(), Store(StoreSettings())
    control = ControlLog(kafka)
    await control.start()
    app = create_app(kafka)
    app.conf.broker_session_timeout = (
        6.0  # as short as the broker lets it be: who was killed is missed sooner
    )
    stage = ProjectStage(app, kafka, store, ProjectSettings())
    context = JobContext(kafka, control, WebhookSettings(), NotifierSettings())
    notifier = JobStage(WebhookDeliveries, context)
    stage.host.register(app)
    alerting = AlertingStage(kafka, control, AlertingSettings(), spend=StoredSpend(kafka, store))
    await stage.start()
    alerting.start()
    notifier.start()
    app.finalize()
    await app.start()
    print("ready", flush=True)
    await stop.wait()
    await app.stop()
    await alerting.stop()
    await notifier.stop()
    await stage.stop()
    await control.stop()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
