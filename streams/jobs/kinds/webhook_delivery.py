"""``webhook_delivery``: send an alert to a webhook, signed according to Standard Webhooks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiokafka.structs import ConsumerRecord

from clickhouse.alert_rows import alert_of_record
from clickhouse.rows import DeadLetterRow
from producers.control.kinds.webhook import Webhook
from producers.control.own_endpoints import own_endpoints
from producers.control.record import Change
from producers.errors import ControlError
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from producers.settings import KafkaSettings
from streams.core.deliveries import (
    Delivery,
    dead_letter,
    delivery_id,
    delivery_of,
    retry_after_s,
)
from streams.core.jobs.book import Job
from streams.core.jobs.state import Dropped, Failed, JobState, Outcome, Succeeded
from streams.jobs.kind import JobContext, JobKind
from streams.notifications import metrics as webhook_metrics
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_sender import DeliveryResult, WebhookSender
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class WebhookDelivery(Job):
    """The delivery of an alert to a webhook, its target."""

    alert: Alert


class WebhookDeliveries(JobKind[WebhookDelivery]):
    """The kind ``webhook_delivery``: one job per alert and webhook that subscribes to its event."""

    name = "webhook_delivery"
    settings = NotifierSettings
    stage = "notifier"

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._control = context.control
        self._settings: NotifierSettings = context.settings
        self._alerts: dict[str, Alert] = {}
        """Recent alerts by id, which are also delivered to new or changed webhooks."""
        self._sender = WebhookSender(
            self._settings,
            allow_private=context.webhooks.allow_private,
            own=own_endpoints(context.webhooks.forbidden_ports),
        )

    @classmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic of the alerts."""
        return topics.alerts

    def jobs_of(self, record: ConsumerRecord) -> Iterable[WebhookDelivery]:
        """Return the deliveries of an alert."""
        alert = alert_of_record(record.value)
        if not self._is_too_old(alert, now_us()):
            # Keep the first version of a repeated alert, so that a webhook-id always has the same
            # body.
            alert = self._alerts.setdefault(alert.id, alert)
        webhooks = self._control.view.in_project(Webhook, alert.project_id)
        return _deliveries([alert], webhooks.values())

    def jobs_of_change(self, change: Change) -> Iterable[WebhookDelivery]:
        """Return deliveries of earlier alerts to a new or changed webhook."""
        if not isinstance(change, Webhook):
            return ()
        alerts = [each for each in self._alerts.values() if each.project_id == change.project_id]
        return _deliveries(alerts, [change])

    async def attempt(self, job: WebhookDelivery) -> Outcome:
        """1. Send the alert. 2. If the receiver responds with 410, disable the webhook."""
        webhook = self._control.view[Webhook].get(job.target)
        if webhook is None or webhook.disabled:
            return Dropped("the webhook is deleted or disabled")
        event_type = self.context.event_types.get(job.alert.event)
        if event_type is None:  # written by a newer version, which can deliver it
            return Failed(
                f"this version of tracemill does not support the event {job.alert.event}",
                by_target=False,
            )
        body = event_type.webhook_body(job.alert)
        with webhook_metrics.ATTEMPT_S.time():
            result = await self._sender.attempt(webhook, job.alert.id, body)
        return await self._outcome_of(result, webhook)

    async def _outcome_of(self, result: DeliveryResult, webhook: Webhook) -> Outcome:
        if result.delivered:
            webhook_metrics.ATTEMPTS.labels("delivered").inc()
            return Succeeded(result.detail)
        webhook_metrics.ATTEMPTS.labels("gone" if result.gone else "failed").inc()
        if result.gone and await self._disable(webhook):
            return Dropped(result.detail)
        pause_max_s = self._settings.retry_after_max_s
        pause_s = retry_after_s(result.retry_after, now_us(), max_s=pause_max_s)
        if pause_s >= pause_max_s:
            self.metrics().limit_reached("retry_after_max_s")
        return Failed(result.detail, pause_s)

    async def _disable(self, webhook: Webhook) -> bool:
        """Disable a webhook whose receiver responded with 410; return false if this failed."""
        try:
            await self._control.update(
                Webhook, webhook.id, lambda current: current.model_copy(update={"disabled": True})
            )
        except ControlError as error:
            log.warning("webhook_not_disabled", webhook=webhook.id, reason=str(error))
            return False
        webhook_metrics.DISABLED.inc()
        log.warning("webhook_disabled", webhook=webhook.id, project=webhook.project_id)
        return True

    def payload_of(self, job: WebhookDelivery) -> bytes:
        """Return the alert."""
        return msgspec.json.encode(job.alert)

    def dead_letter(self, job: WebhookDelivery, state: JobState) -> DeadLetterRow:
        """Return the dead letter, with the undelivered body."""
        event_type = self.context.event_types.get(job.alert.event)
        body = self.payload_of(job) if event_type is None else event_type.webhook_body(job.alert)
        return dead_letter(job.alert, job.id, state, body)

    @classmethod
    def metrics(cls) -> webhook_metrics.DeliveryMetrics:
        """Return the metrics, which are also exported by their names in earlier versions."""
        return webhook_metrics.DeliveryMetrics(cls.name)

    @classmethod
    def group(cls, kafka: KafkaSettings) -> str:
        """Return the consumer group, which is the same as in earlier versions."""
        return f"{kafka.topic_prefix}-notifier"

    @classmethod
    def states(cls, topics: Topics) -> str:
        """Return the topic of the deliveries."""
        return topics.deliveries

    @classmethod
    def state_key(cls, job_id: str) -> str:
        """Return the id of the delivery."""
        return job_id

    @classmethod
    def job_id_of(cls, key: str) -> str | None:
        """Return the id of the delivery."""
        return key

    def encode_state(self, job_id: str, state: JobState) -> bytes:
        """Return the record of a delivery."""
        return msgspec.json.encode(delivery_of(job_id, state))

    def decode_state(self, value: bytes) -> JobState:
        """Read the record of a delivery."""
        return msgspec.json.decode(value, type=Delivery).state

    def sweep(self, now_us: int) -> None:
        """Remove alerts that are too old to be delivered."""
        for alert in list(self._alerts.values()):
            if self._is_too_old(alert, now_us):
                del self._alerts[alert.id]

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _is_too_old(self, alert: Alert, now_us: int) -> bool:
        return alert.created_us < now_us - self._settings.alert_age_max_h * HOUR_US


def _deliveries(alerts: Iterable[Alert], webhooks: Iterable[Webhook]) -> Iterator[WebhookDelivery]:
    """Yield a delivery for each alert whose event a webhook subscribes to, since its creation."""
    for webhook in webhooks:
        for alert in alerts:
            if webhook.takes(alert.event, alert.created_us):
                yield WebhookDelivery(
                    id=delivery_id(alert.id, webhook.id),
                    target=webhook.id,
                    project_id=alert.project_id,
                    created_us=alert.created_us,
                    alert=alert,
                    order_key=f"{webhook.id}/{alert.rule_id}/{alert.episode}",
                )
