"""``channel_delivery``: send messages about groups of alerts to channels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from clickhouse.alert_rows import alert_of_record
from producers.control.kinds.channel import Channel
from producers.control.kinds.delivery_request import DeliveryRequest
from producers.control.kinds.route import Route
from producers.control.record import Change
from producers.kafka.topics import Topics
from producers.notifications.alert import Alert
from producers.notifications.channel_registry import CHANNEL_TYPES
from producers.notifications.event_types.webhook_test import alert_of_test
from producers.notifications.message import Message, message_of
from streams.core.deliveries import retry_after_s
from streams.core.delivery_log import attempt_row
from streams.core.jobs.book import Job
from streams.core.jobs.state import Dropped, Failed, JobState, Outcome, Postponed, Succeeded
from streams.core.notifications.groups import (
    Batch,
    Group,
    GroupBook,
    GroupKey,
    Seal,
    SealedState,
    Timing,
)
from streams.core.notifications.selection import groups_of, is_selected
from streams.jobs.kind import JobContext, JobKind
from streams.notifications.channel_sender import ChannelSender
from streams.notifications.channel_settings import ChannelNotifierSettings
from streams.notifications.rate import ChannelRates
from streams.notifications.webhook_sender import DeliveryResult
from tracemill.clock import now_us

HOUR_US: Final = 3_600_000_000
NO_RESULT: Final = DeliveryResult(None, "")


@dataclass(frozen=True, slots=True)
class ChannelDelivery(Job):
    """A message to a channel, its target."""

    key: GroupKey
    batch_id: str = ""
    """The batch that is sent; empty: see ``firing_id`` and ``test``."""
    firing_id: str = ""
    """The firing of the group that is reported repeatedly (``Group.firing_id``)."""
    test: Alert | None = None


class ChannelDeliveries(JobKind[ChannelDelivery]):
    """The kind: one job per batch of a group, and one that repeats a group that still fires."""

    name = "channel_delivery"
    settings = ChannelNotifierSettings
    stage = "notifier"

    def __init__(self, context: JobContext) -> None:
        super().__init__(context)
        self._control = context.control
        self._settings: ChannelNotifierSettings = context.settings
        self._alerts: dict[str, Alert] = {}
        """Recent alerts by id, which are also sent to channels and routes that are read later."""
        self._fired: defaultdict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
        """Ids of recent alerts by episode, without the ends of episodes."""
        self._book = GroupBook()
        self._rates = ChannelRates()
        self._repeating: dict[str, GroupKey] = {}
        """Groups of the jobs that repeat messages."""
        self._results: dict[str, tuple[DeliveryResult, tuple[Alert, ...]]] = {}
        self._sender = ChannelSender(self._settings, context.webhooks)

    @classmethod
    def source(cls, topics: Topics) -> str:
        """Return the topic of the alerts."""
        return topics.alerts

    def jobs_of(self, record: ConsumerRecord) -> Iterable[ChannelDelivery]:
        """Return the messages that an alert begins or joins."""
        alert = alert_of_record(record.value)
        event_type = self.context.event_types.get(alert.event)
        if event_type is not None and not event_type.is_delivered(alert):
            return ()
        if self._is_too_old(alert, now_us()) and not self._book.sealed_of(alert.id):
            return ()
        known = self._alerts.setdefault(alert.id, alert)
        if is_open(known):
            self._fired[_episode_of(known)][known.id] = None
        return self._jobs_for(known)

    def _fired_us(self, end: Alert) -> Iterator[int]:
        """Yield the times of the alerts of an episode before its end."""
        for alert_id in self._fired.get(_episode_of(end), ()):
            yield self._alerts[alert_id].created_us

    def _jobs_for(self, alert: Alert) -> Iterator[ChannelDelivery]:
        view = self._control.view
        channels = view.in_project(Channel, alert.project_id).values()
        routes = view.in_project(Route, alert.project_id).values()
        event_type = self.context.event_types.get(alert.event)
        is_named_only = event_type is not None and not event_type.is_alert
        found = dict(
            groups_of(
                alert,
                channels,
                routes,
                fired_us=() if is_open(alert) else tuple(self._fired_us(alert)),
                is_named_only=is_named_only,
            )
        )
        # A sealed batch is sent even if its route was changed or deleted.
        for seal in self._book.sealed_of(alert.id):
            found.setdefault(seal.key, Timing(is_single=True))
        for key, timing in found.items():
            repeats = timing.repeat_us > 0 and alert.event.startswith("alert.")
            batch = self._book.add(alert, key, timing, repeats=repeats)
            if batch is not None:
                yield ChannelDelivery(
                    id=batch.id,
                    target=key.channel_id,
                    project_id=alert.project_id,
                    created_us=batch.alerts[0].created_us,
                    key=key,
                    batch_id=batch.id,
                    order_key=key.id,
                    due_us=batch.due_us,
                    flow=alert.rule_id,
                    is_urgent=alert.severity == "critical",
                )
            group = self._book.group_of(key)
            if repeats and group is not None and group.firing:
                job_id = f"{key.id}.{group.firing_id}"
                self._repeating[job_id] = key
                yield ChannelDelivery(
                    id=job_id,
                    target=key.channel_id,
                    project_id=alert.project_id,
                    created_us=alert.created_us,
                    key=key,
                    firing_id=group.firing_id,
                    due_us=alert.created_us + timing.repeat_us,
                    flow=alert.rule_id,
                    is_urgent=alert.severity == "critical",
                )

    def jobs_of_change(self, change: Change) -> Iterable[ChannelDelivery]:
        """Return what a new channel or route receives of earlier alerts, and tests."""
        if isinstance(change, DeliveryRequest):
            return self._test(change)
        if not isinstance(change, Channel | Route):
            return ()
        alerts = [each for each in self._alerts.values() if each.project_id == change.project_id]
        return [job for alert in alerts for job in self._jobs_for(alert)]

    def _test(self, request: DeliveryRequest) -> Iterator[ChannelDelivery]:
        channel = self._control.view[Channel].get(request.target_id)
        if request.target_kind != "channel" or request.action != "test":
            return
        if channel is not None and channel.project_id == request.project_id:
            yield ChannelDelivery(
                id=f"{request.id}/{channel.id}",
                target=channel.id,
                project_id=request.project_id,
                created_us=request.created_us,
                key=GroupKey(channel.id, request.id),
                test=alert_of_test(request.project_id, request.id, channel.id, request.created_us),
            )

    def wait_of(self, job: ChannelDelivery) -> Postponed | None:
        """Return until when a message waits: for the channel's rate, or for its repetition."""
        channel = self._control.view[Channel].get(job.target)
        if channel is None or channel.disabled:
            return None
        at_us = now_us()
        group = self._book.group_of(job.key)
        if (
            job.firing_id
            and group is not None
            and group.firing_id == job.firing_id
            and group.firing
        ):
            due_us = group.sent_us + group.timing.repeat_us
            if self._book.pending_in(group) or due_us > at_us:
                due_us = max(due_us, at_us + int(self._settings.pending_pause_s * 1e6))
                return Postponed("the group was reported since, or will be", due_us)
        free_us = self._rates.take(channel.id, channel.rate_per_minute, at_us)
        if not free_us:
            return None
        self.metrics().limit_reached("rate_per_minute")
        return Postponed(f"the channel allows {channel.rate_per_minute} a minute", free_us)

    def seals(self, job: ChannelDelivery) -> bool:
        """Seal the batch before its first attempt."""
        batch = self._book.batches.get(job.batch_id)
        if batch is None or batch.is_sealed:
            return False
        self._book.seal(batch, now_us())
        return True

    async def attempt(self, job: ChannelDelivery) -> Outcome:
        """Send the message of a batch, of a group that still fires, or of a test."""
        channel = self._control.view[Channel].get(job.target)
        is_deleted = self.context.is_deleted(job.project_id)
        if channel is None or channel.disabled or is_deleted:
            what = "project is deleted" if is_deleted else "channel is deleted or disabled"
            return Dropped(f"the {what}")
        group = self._book.group_of(job.key)
        if job.test is not None:
            outcome = await self._send(job, channel, [job.test], f"{job.id}", None)
            return Dropped(outcome.detail) if isinstance(outcome, Failed) else outcome
        if job.firing_id:
            return await self._repeat(job, channel, group)
        batch = self._book.batches.get(job.batch_id)
        if batch is None:
            return Dropped("the alerts are no longer known")
        wanted = [each for each in batch.latest if channel.send_resolved or is_open(each)]
        if not wanted:
            return Dropped("the channel does not receive resolved alerts")
        return await self._send(job, channel, wanted, batch.id, group)

    async def _repeat(self, job: ChannelDelivery, channel: Channel, group: Group | None) -> Outcome:
        if group is None or group.firing_id != job.firing_id or not group.firing:
            return Dropped("the group no longer fires")
        route = self._control.view[Route].get(job.key.source)
        if route is None:
            return Dropped("the route is deleted")
        alerts = [each for each in group.firing.values() if is_selected(each, job.key, route)]
        if not alerts:
            due_us = now_us() + group.timing.repeat_us
            return Postponed("the route does not select the group now", due_us)
        # After a crash, the time of the last message is the same, and so is the id.
        message_id = f"{job.id}.{group.sent_us}"
        outcome = await self._send(job, channel, alerts, message_id, group)
        if not isinstance(outcome, Succeeded):
            return outcome
        group.sent_us = now_us()
        return Postponed(outcome.detail, group.sent_us + group.timing.repeat_us, again=True)

    async def _send(
        self,
        job: ChannelDelivery,
        channel: Channel,
        alerts: list[Alert],
        message_id: str,
        group: Group | None,
    ) -> Outcome:
        kind = CHANNEL_TYPES.get(channel.type)
        if kind is None:  # written by a newer version, which can send it
            return Failed(f"this version has no channels of type {channel.type}", by_target=False)
        try:
            settings = kind.parse(channel.settings)
        except ValidationError as error:
            return Failed(f"the settings are not valid: {error}", by_target=False)
        message = self._message(job, channel, alerts, message_id, group)
        result = await self._sender.send(kind.outgoing(settings, message, now_us()))
        fault = kind.fault_in(result.answer) if result.delivered else ""
        if fault:
            result = replace(result, detail=fault)
        self._results[job.id] = result, tuple(alerts)
        if result.delivered and not fault:
            return Succeeded(result.detail)
        pause_max_s = self._settings.retry_after_max_s
        return Failed(result.detail, retry_after_s(result.retry_after, now_us(), max_s=pause_max_s))

    def _message(
        self,
        job: ChannelDelivery,
        channel: Channel,
        alerts: list[Alert],
        message_id: str,
        group: Group | None,
    ) -> Message:
        """Return the message; with the default texts if a template of the channel fails."""
        for title, text in ((channel.title_template, channel.text_template), ("", "")):
            try:
                return message_of(
                    alerts,
                    self.context.event_types,
                    message_id=message_id,
                    group_id=job.key.id,
                    group=dict(job.key.labels),
                    firing_count=0 if group is None else len(group.firing),
                    title_template=title,
                    text_template=text,
                    public_url=self._settings.public_url,
                )
            except ValueError as error:
                if not (title or text) or isinstance(error, msgspec.MsgspecError):
                    raise
                self.metrics().set_aside("template")
        raise AssertionError

    def records_of(self, job: ChannelDelivery, state: JobState) -> Iterable[tuple[str, bytes]]:
        """Return the row of the delivery log; a message that only waits has none."""
        result, alerts = self._results.pop(job.id, (NO_RESULT, ()))
        if state.status != "pending":
            self._book.end(job.batch_id)
        if not alerts and state.status == "pending" and not state.attempts:
            return []
        batch = self._book.batches.get(job.batch_id)
        logged_alerts = alerts or (tuple(batch.alerts) if batch is not None else ())
        logged: Job = job
        if job.firing_id:
            logged = replace(job, id=f"{job.id}.{state.updated_us}", created_us=state.updated_us)
        row = attempt_row(
            logged,
            state,
            target_kind="channel",
            alert_ids=[each.id for each in logged_alerts],
            event=logged_alerts[0].event if logged_alerts else "",
            status_code=result.status,
            latency_ms=result.latency_ms,
            answer=result.answer,
            is_test=job.test is not None,
        )
        if job.firing_id and result.delivered and state.status == "pending" and not state.attempts:
            row = msgspec.structs.replace(row, status="delivered")
        return [(self.context.kafka.topics.delivery_log, msgspec.json.encode(row))]

    def encode_state(self, job_id: str, state: JobState) -> bytes:
        """Encode a state with the seal of the job's batch."""
        return msgspec.json.encode(SealedState(state=state, seal=self._seal_of(job_id, state)))

    def _seal_of(self, job_id: str, state: JobState) -> Seal | None:
        seal = self._book.seal_of(job_id)
        if seal is not None:
            return msgspec.structs.replace(seal, is_pending=state.status == "pending")
        key = self._repeating.get(job_id)
        group = None if key is None else self._book.group_of(key)
        if group is None:
            return None
        if state.status != "pending":
            del self._repeating[job_id]
        # Without alerts, it only has the time of the group's last message.
        return Seal(
            batch_id=job_id,
            channel_id=group.key.channel_id,
            source=group.key.source,
            labels=group.key.labels,
            sent_us=group.sent_us,
        )

    def decode_state(self, value: bytes) -> JobState:
        """Decode a state, and note the seal."""
        record = msgspec.json.decode(value, type=SealedState)
        if record.seal is not None:
            self._book.load(record.seal)
        return record.state

    def payload_of(self, job: ChannelDelivery) -> bytes:
        """Return the alerts."""
        batch = self._book.batches.get(job.batch_id)
        return msgspec.json.encode([] if batch is None else batch.alerts)

    def sweep(self, now_us: int) -> None:
        """Remove alerts that are too old to be sent, and what is known of old messages."""
        for alert in list(self._alerts.values()):
            if self._is_too_old(alert, now_us):
                del self._alerts[alert.id]
                self._fired[_episode_of(alert)].pop(alert.id, None)
                if not self._fired[_episode_of(alert)]:
                    del self._fired[_episode_of(alert)]
        self._book.forget(now_us - int(self.limits.memory_h * HOUR_US))

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

    def _is_too_old(self, alert: Alert, now_us: int) -> bool:
        return alert.created_us < now_us - self._settings.alert_age_max_h * HOUR_US


def _episode_of(alert: Alert) -> tuple[str, str, str]:
    return alert.project_id, alert.rule_id, alert.episode or alert.id


def is_open(alert: Alert) -> bool:
    """Return whether an alert is not the end of an episode."""
    return alert.state != "resolved"


__all__ = ["Batch", "ChannelDeliveries", "ChannelDelivery"]
