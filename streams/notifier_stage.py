"""The notifier in a Faust worker: whoever owns the one partition of ``alerts`` delivers, so that one does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaProducer
from faust.types import TP, StreamT

from producers.control.log import ControlLog
from producers.control.records import Change
from producers.kafka import new_producer, started, stopped
from producers.settings import KafkaSettings, WebhookSettings
from streams.notifier import Notifier
from streams.notifier_settings import NotifierSettings
from streams.webhook_sender import WebhookSender

log = structlog.get_logger(__name__)


class NotifierStage:
    """``start`` before the app, ``stop`` after it; in between the app says who delivers."""

    def __init__(
        self,
        app: faust.App,
        kafka: KafkaSettings,
        control: ControlLog,
        settings: NotifierSettings,
        webhooks: WebhookSettings,
    ) -> None:
        self._app = app
        self._kafka = kafka
        self._control = control
        self._settings = settings
        self._webhooks = webhooks
        self._producer: AIOKafkaProducer | None = None
        self._running: tuple[Notifier, asyncio.Task[None]] | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
        """
        self._producer = await started(
            lambda: new_producer(self._kafka, batch_bytes=self._kafka.control_record_max_bytes),
            self._kafka,
        )
        self._control.subscribe(self._control_changed)

    async def stop(self) -> None:
        """Let attempts under way end, within ``stop_timeout_s``, and disconnect."""
        await self.disown()
        if self._producer is not None:
            await stopped(self._producer, self._settings.stop_timeout_s)

    def own(self) -> None:
        """Begin to deliver."""
        if self._running is None:
            assert self._producer is not None, "start() comes first"
            sender = WebhookSender(self._settings, allow_private=self._webhooks.allow_private)
            notifier = Notifier(self._kafka, self._control, self._producer, sender, self._settings)
            task = asyncio.create_task(self._run(notifier, sender), name="notifier")
            self._running = (notifier, task)

    async def disown(self) -> None:
        """Deliver no more: somebody else does."""
        if self._running is not None:
            (_, task), self._running = self._running, None
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self, notifier: Notifier, sender: WebhookSender) -> None:
        try:
            await notifier.run()
        except Exception as error:
            log.exception("notifier_failed")
            await self._app.crash(error)
        finally:
            await sender.close()

    def _control_changed(self, change: Change) -> None:
        if self._running is not None:
            self._running[0].control_changed(change)


def register_notifier(
    app: faust.App,
    kafka: KafkaSettings,
    control: ControlLog,
    settings: NotifierSettings,
    webhooks: WebhookSettings,
) -> NotifierStage:
    """Let one worker of ``app`` deliver alerts."""
    topic = kafka.topics.alerts
    stage = NotifierStage(app, kafka, control, settings, webhooks)

    @app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name="notifier")
    async def alerts(stream: StreamT[bytes]) -> None:
        async for _ in stream:
            """The notifier reads the log from its beginning; the group only decides who it is."""

    async def assigned(_: Any, tps: set[TP], **__: Any) -> None:
        if TP(topic, 0) in tps:
            stage.own()

    async def revoked(_: Any, tps: set[TP], **__: Any) -> None:
        if TP(topic, 0) in tps:
            await stage.disown()

    app.on_partitions_assigned.connect(cast("Any", assigned))
    app.on_partitions_revoked.connect(cast("Any", revoked))
    return stage
