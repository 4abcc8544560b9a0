"""Delivers alerts to webhooks: at least once each, over restarts, whatever receivers do.

What is known lives in three logs: ``alerts`` says what happened, the control plane which webhooks want to know, ``deliveries`` how far each of them got. A
delivery without a state is due now. An attempt is followed by its state; a crash between the two repeats the attempt, with the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from typing import Final

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from clickhouse.alert_rows import alert_of_record
from producers.control.kinds.webhook import Webhook
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.errors import ControlError
from producers.notifications.alert import Alert
from producers.notifications.registry import EVENT_TYPES, EventTypes
from producers.settings import KafkaSettings
from streams.core.deliveries import (
    Delivery,
    dead_letter,
    delivery_id,
    ended,
    failed,
    retry_after_s,
)
from streams.notifications import metrics
from streams.notifications.delivery_queue import DeliveryQueue
from streams.notifications.failures import FailedDeliveries, is_transient
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_sender import Answer, WebhookSender
from streams.runtime.log_tail import LogTail

log = structlog.get_logger(__name__)

HOUR_US: Final = 3_600_000_000
IDLE_S: Final = 60.0


class Notifier:
    """One life of the notifier: from becoming the one that delivers until another does. ``run`` is all of it."""

    def __init__(
        self,
        kafka: KafkaSettings,
        control: ControlLog,
        producer: AIOKafkaProducer,
        sender: WebhookSender,
        settings: NotifierSettings,
        event_types: EventTypes = EVENT_TYPES,
    ) -> None:
        self._event_types = event_types
        self._topics = kafka.topics
        self._control = control
        self._producer = producer
        self._sender = sender
        self._settings = settings
        self._alerts: dict[str, Alert] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._unfinished: set[str] = set()
        """Alerts that were still to be delivered when this life began."""
        self._alert_log = LogTail(kafka, self._topics.alerts, self._on_alert, self._on_refused)
        self._delivery_log = LogTail(
            kafka, self._topics.deliveries, self._on_delivery, self._on_refused
        )
        self._dead_letters = FailedDeliveries(producer, kafka)
        self._queue = DeliveryQueue(
            per_endpoint_max=settings.attempts_per_endpoint_max, running_max=settings.attempts_max
        )
        self._attempts: set[asyncio.Task[None]] = set()
        """Of deliveries, and of writing dead letters."""
        self._wake = asyncio.Event()
        self._ready = False
        self._next_sweep_s = 0.0

    async def run(self) -> None:
        """1. Read what was delivered. 2. Read what was alerted. 3. Deliver what is due, until cancelled.

        Raises:
            KafkaError: the broker refuses to keep the state of a delivery.
        """
        try:
            await self._delivery_log.start()
            await self._delivery_log.caught_up()
            self._unfinished = self._unfinished_alerts()
            await self._alert_log.start()
            await self._alert_log.caught_up()
            self._begin()
            log.info("notifier_ready", alerts=len(self._alerts), pending=len(self._queue))
            while True:
                self._start_attempts()
                self._raise_failures()
                await self._sweep()
                await self._until_due()
        finally:
            self._ready = False
            await self._finish_attempts()
            await self._alert_log.stop()
            await self._delivery_log.stop()

    def control_changed(self, change: Change) -> None:
        """A webhook is new or another: it may want alerts that came before we heard of it. Of what is gone, the next attempt tells."""
        if self._ready and isinstance(change, Webhook):
            for alert in list(self._alerts.values()):
                if alert.project_id == change.project_id:
                    self._consider(alert, [change])

    def _on_alert(self, record: ConsumerRecord) -> None:
        if record.value is None:
            return
        alert = alert_of_record(record.value)
        if self._too_old(alert) and alert.id not in self._unfinished:
            return
        # What is said twice was said the first time: a body never changes under its webhook-id.
        alert = self._alerts.setdefault(alert.id, alert)
        if self._ready:
            webhooks = self._control.view.in_project(Webhook, alert.project_id)
            self._consider(alert, webhooks.values())

    def _on_delivery(self, record: ConsumerRecord) -> None:
        key = (record.key or b"").decode()
        if record.value is None:
            self._deliveries.pop(key, None)
            return
        delivery = msgspec.json.decode(record.value, type=Delivery)
        known = self._deliveries.get(key)
        if known is None or known.updated_us <= delivery.updated_us:
            self._deliveries[key] = delivery

    def _on_refused(self, record: ConsumerRecord, error: Exception) -> None:
        """Set one record aside; the log goes on."""
        task = asyncio.create_task(self._dead_letters.record(record, error))
        self._attempts.add(task)
        task.add_done_callback(lambda _: self._wake.set())

    def _begin(self) -> None:
        """Queue everything that the logs leave to be done; from now on each change is considered as it comes."""
        self._ready = True
        for alert in self._alerts.values():
            webhooks = self._control.view.in_project(Webhook, alert.project_id)
            self._consider(alert, webhooks.values())

    def _consider(self, alert: Alert, webhooks: Iterable[Webhook]) -> None:
        """Queue what of this alert is still to be delivered to these webhooks of its project."""
        for webhook in webhooks:
            if not _wants(webhook, alert):
                continue
            delivery = self._deliveries.get(delivery_id(alert.id, webhook.id))
            if delivery is None and self._too_old(alert):
                metrics.LIMIT_REACHED.labels("alert_age_max_h").inc()
            elif delivery is None:
                delivery = Delivery(alert_id=alert.id, webhook_id=webhook.id)
            if delivery is not None and delivery.status == "pending":
                self._queue.put(delivery.id, webhook.id, delivery.next_attempt_us)
                self._wake.set()

    def _too_old(self, alert: Alert) -> bool:
        return alert.created_us < _now_us() - self._settings.alert_age_max_h * HOUR_US

    def _unfinished_alerts(self) -> set[str]:
        return {each.alert_id for each in self._deliveries.values() if each.status == "pending"}

    def _start_attempts(self) -> None:
        for key, webhook_id in self._queue.start(_now_us()):
            task = asyncio.create_task(self._attempt(key, webhook_id), name=f"webhook {key}")
            self._attempts.add(task)
            task.add_done_callback(lambda _: self._wake.set())
        if self._queue.running >= self._settings.attempts_max and self._queue.crowded:
            metrics.LIMIT_REACHED.labels("attempts_max").inc()
        if self._queue.holds_back:
            metrics.LIMIT_REACHED.labels("attempts_per_endpoint_max").inc()
        metrics.PENDING.set(len(self._queue))
        metrics.RUNNING.set(self._queue.running)

    async def _attempt(self, key: str, webhook_id: str) -> None:
        """Make an attempt and keep its state; one whose content raises is set aside.

        Raises:
            KafkaError: the broker does not keep the state, whatever it is.
        """
        try:
            after = await self._attempted(key, webhook_id)
            self._deliveries[key] = after
            # Kept before it is queued again: a delivery has one attempt at a time.
            await self._keep(after)
        except Exception as error:
            if is_transient(error):
                raise
            alert = self._alerts.get(key.partition("/")[0])
            after = await self._dead_letters.delivery(key, alert, error)
            self._deliveries[key] = after
        finally:
            self._queue.done(key, webhook_id)
        if after.status == "pending":
            self._queue.put(key, webhook_id, after.next_attempt_us)

    async def _attempted(self, key: str, webhook_id: str) -> Delivery:
        """1. Send. 2. What must follow from the answer."""
        alert_id = key.partition("/")[0]
        delivery = self._deliveries.get(key) or Delivery(alert_id=alert_id, webhook_id=webhook_id)
        alert = self._alerts.get(alert_id)
        if alert is None:  # it waited until it was too old
            return ended(delivery, "gone", _now_us(), "the alert is no longer remembered")
        webhook = self._control.view[Webhook].get(webhook_id)
        if webhook is None or webhook.disabled:
            return ended(delivery, "gone", _now_us(), "the webhook is deleted or disabled")
        event_type = self._event_types.get(alert.event)
        if event_type is None:  # a newer worker wrote the alert; this one is about to be replaced
            answer, body = Answer(None, f"the event {alert.event} is not known here"), b""
        else:
            body = event_type.webhook_body(alert)
            with metrics.ATTEMPT_S.time():
                answer = await self._sender.attempt(webhook, alert.id, body)
        return await self._follow(alert, delivery, webhook, answer, body)

    async def _follow(
        self, alert: Alert, delivery: Delivery, webhook: Webhook, answer: Answer, body: bytes
    ) -> Delivery:
        now_us = _now_us()
        if answer.delivered:
            metrics.ATTEMPTS.labels("delivered").inc()
            metrics.DELIVERY_S.observe(max(0, now_us - alert.created_us) / 1e6)
            return ended(delivery, "delivered", now_us, answer.detail)
        metrics.ATTEMPTS.labels("gone" if answer.gone else "failed").inc()
        if answer.gone and await self._disable(webhook):
            return ended(delivery, "gone", now_us, answer.detail)
        asked_s = retry_after_s(answer.retry_after, now_us, max_s=self._settings.retry_after_max_s)
        if asked_s >= self._settings.retry_after_max_s:
            metrics.LIMIT_REACHED.labels("retry_after_max_s").inc()
        after = failed(
            delivery,
            now_us,
            answer.detail,
            schedule_s=self._settings.retry_schedule_s,
            jitter=random.uniform(0, self._settings.retry_jitter),  # noqa: S311  # spreads load, guards nothing
            retry_after_s=asked_s,
        )
        log.warning(
            "webhook_failed",
            webhook=webhook.id,
            alert=alert.id,
            attempts=after.attempts,
            detail=answer.detail,
            again_in_s=_pause_s(after, now_us),
        )
        if after.status == "exhausted":
            metrics.EXHAUSTED.inc()
            await self._dead_letters.send(dead_letter(alert, after, body))
        return after

    async def _disable(self, webhook: Webhook) -> bool:
        """Disable a webhook whose receiver said 410; whether that is kept."""
        if webhook.id not in self._control.view[Webhook]:
            return True
        try:
            await self._control.put(webhook.model_copy(update={"disabled": True}))
        except ControlError as error:
            log.warning("webhook_not_disabled", webhook=webhook.id, reason=str(error))
            return False
        metrics.DISABLED.inc()
        log.warning("webhook_disabled", webhook=webhook.id, project=webhook.project_id)
        return True

    async def _keep(self, delivery: Delivery) -> None:
        await self._producer.send_and_wait(
            self._topics.deliveries,
            msgspec.json.encode(delivery),
            key=delivery.id.encode(),
            partition=0,
        )

    async def _until_due(self) -> None:
        """Wait for the next delivery's time, a change, or the end of an attempt."""
        next_us = self._queue.next_us()
        pause_s = IDLE_S if next_us is None else min(IDLE_S, (next_us - _now_us()) / 1e6)
        try:
            async with asyncio.timeout(max(pause_s, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _raise_failures(self) -> None:
        for task in [task for task in self._attempts if task.done()]:
            self._attempts.discard(task)
            task.result()

    async def _finish_attempts(self) -> None:
        """Give attempts under way a moment: one that is cut off is made again."""
        if self._attempts:
            _, late = await asyncio.wait(self._attempts, timeout=self._settings.stop_timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._attempts, return_exceptions=True)

    async def _sweep(self) -> None:
        """Forget what can't matter any more: finished deliveries of alerts that would not be begun with again."""
        now_s = time.monotonic()
        if now_s < self._next_sweep_s:
            return
        self._next_sweep_s = now_s + self._settings.sweep_interval_s
        forget_us = _now_us() - self._settings.delivery_memory_h * HOUR_US
        for key, delivery in list(self._deliveries.items()):
            if delivery.status != "pending" and delivery.updated_us < forget_us:
                del self._deliveries[key]
                await self._producer.send_and_wait(
                    self._topics.deliveries, None, key=key.encode(), partition=0
                )
        unfinished = self._unfinished_alerts()
        for alert in list(self._alerts.values()):
            if self._too_old(alert) and alert.id not in unfinished:
                del self._alerts[alert.id]


def _wants(webhook: Webhook, alert: Alert) -> bool:
    """Whether a webhook is to hear of an alert: not of those from before its own time."""
    return (
        not webhook.disabled
        and alert.event in webhook.events
        and webhook.created_us <= alert.created_us
    )


def _pause_s(delivery: Delivery, now_us: int) -> float | None:
    """Until the next attempt; None when there is none."""
    if delivery.status != "pending":
        return None
    return round((delivery.next_attempt_us - now_us) / 1e6, 1)


def _now_us() -> int:
    return time.time_ns() // 1_000
