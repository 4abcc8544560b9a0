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
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.webhook import Webhook
from producers.control.own_endpoints import own_endpoints
from producers.control.record import Change
from producers.errors import ControlError
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from producers.notifications.event_types.webhook_test import alert_of_test
from producers.settings import KafkaSettings
from streams.core.deliveries import (
    Delivery,
    dead_letter,
    delivery_id,
    delivery_of,
    retry_after_s,
)
from streams.core.delivery_log import attempt_row
from streams.core.jobs.book import Job
from streams.core.jobs.state import Dropped, Failed, JobState, Outcome, Succeeded
from streams.jobs.kind import JobContext, JobKind
from streams.notifications import metrics as webhook_metrics
from streams.notifications.settings import NotifierSettings
from streams.notifications.webhook_sender import DeliveryResult, WebhookSender
from tracemill.clock import now_us

log = structlog.get_logger(__name__)

HOUR_US: Final = 3_600_000_000
NO_RESULT: Final = DeliveryResult(None, "")


@dataclass(frozen=True, slots=True)
class WebhookDelivery(Job):
    """The delivery of an alert to a webhook, its target."""

    alert: Alert
    is_test: bool = False


class WebhookDeliveries(JobKind[WebhookDelivery]):
    """The kind ``webhook_delivery``: one job per alert and webhook that subscribes to its event.

    A request to deliver again creates further jobs, with the same ``webhook-id``.
    """

    name = "webhook_delivery"
    settings = NotifierSettings
    stage = "notifier"

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._control = context.control
        self._settings: NotifierSettings = context.settings
        self._alerts: dict[str, Alert] = {}
        """Recent alerts by id, which are also delivered to new or changed webhooks."""
        self._results: dict[str, DeliveryResult] = {}
        """Results of running attempts by job, until the attempt is logged."""
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
        event_type = self.context.event_types.get(alert.event)
        if event_type is not None and not event_type.is_delivered(alert):
            return ()
        if not self._is_too_old(alert, now_us()):
            # Keep the first version of a repeated alert, so that a webhook-id always has the same
            # body.
            alert = self._alerts.setdefault(alert.id, alert)
        return self._deliveries_of(alert)

    def _deliveries_of(self, alert: Alert) -> Iterator[WebhookDelivery]:
        webhooks = self._control.view.in_project(Webhook, alert.project_id)
        yield from _deliveries([alert], webhooks.values())
        for request in self._control.view.in_project(DeliveryRequest, alert.project_id).values():
            yield from self._repetitions(request, [alert])

    def _repetitions(
        self, request: DeliveryRequest, alerts: Iterable[Alert]
    ) -> Iterator[WebhookDelivery]:
        """Yield the deliveries that a request repeats."""
        webhook = self._control.view[Webhook].get(request.target_id)
        if webhook is None or webhook.project_id != request.project_id:
            return
        for alert in alerts:
            wanted = request.alert_id or alert.event in webhook.events
            if wanted and request.covers(alert.id, alert.created_us):
                yield _delivery(alert, webhook, request.id)

    def jobs_of_change(self, change: Change) -> Iterable[WebhookDelivery]:
        """Return what a new or changed webhook, or a request, delivers of earlier alerts."""
        if not isinstance(change, Webhook | DeliveryRequest):
            return ()
        project_id = change.project_id
        alerts = [each for each in self._alerts.values() if each.project_id == project_id]
        if isinstance(change, Webhook):
            return _deliveries(alerts, [change])
        if change.target_kind != "webhook":
            return ()
        if change.action == "test":
            return self._test(change)
        return self._repetitions(change, alerts)

    def _test(self, request: DeliveryRequest) -> Iterator[WebhookDelivery]:
        webhook = self._control.view[Webhook].get(request.target_id)
        if webhook is not None and webhook.project_id == request.project_id:
            alert = alert_of_test(
                request.project_id, request.id, request.target_id, request.created_us
            )
            yield _delivery(alert, webhook, is_test=True)

    async def attempt(self, job: WebhookDelivery) -> Outcome:
        """1. Send the alert. 2. If the receiver responds with 410, disable the webhook."""
        webhook = self._control.view[Webhook].get(job.target)
        if webhook is None or webhook.disabled:
            return Dropped("the webhook is deleted or disabled")
        if self.context.is_deleted(job.project_id):
            return Dropped("the project is deleted")
        event_type = self.context.event_types.get(job.alert.event)
        if event_type is None:  # written by a newer version, which can deliver it
            return Failed(
                f"this version of tracemill does not support the event {job.alert.event}",
                by_target=False,
            )
        body = event_type.webhook_body(job.alert)
        with webhook_metrics.ATTEMPT_S.time():
            result = await self._sender.attempt(webhook, job.alert.id, body)
        self._results[job.id] = result
        outcome = await self._outcome_of(result, webhook)
        if job.is_test and isinstance(outcome, Failed):
            return Dropped(outcome.detail)  # a test is not retried
        return outcome

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

    def records_of(self, job: WebhookDelivery, state: JobState) -> Iterable[tuple[str, bytes]]:
        """Return the row of the delivery log."""
        result = self._results.pop(job.id, None) or NO_RESULT
        row = attempt_row(
            job,
            state,
            target_kind="webhook",
            alert_ids=[job.alert.id],
            event=job.alert.event,
            status_code=result.status,
            latency_ms=result.latency_ms,
            answer=result.answer,
            is_test=job.is_test,
        )
        return [(self.context.kafka.topics.delivery_log, msgspec.json.encode(row))]

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
                yield _delivery(alert, webhook)


def _delivery(
    alert: Alert, webhook: Webhook, request_id: str = "", *, is_test: bool = False
) -> WebhookDelivery:
    return WebhookDelivery(
        id=delivery_id(alert.id, webhook.id, request_id),
        target=webhook.id,
        project_id=alert.project_id,
        created_us=alert.created_us,
        alert=alert,
        is_test=is_test,
        order_key=f"{webhook.id}/{alert.rule_id}/{alert.episode}",
        # A request can repeat thousands of deliveries, which delay no new alert.
        flow=request_id or alert.rule_id,
        is_urgent=alert.severity == "critical" and not request_id,
    )
