"""Collect alerts in batches per group; each batch is one message.

A batch collects alerts until it is sealed, immediately before the first attempt to send it. Its
seal is written to the log before that, so that a crash changes neither its alerts nor its id, and
no alert is in two batches of one source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec

from producers.notifications.alert import Alert
from streams.core.jobs.state import JobState

_ID_CHARS = 24


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What identifies a group: the channel, the route, and the values of the route's labels."""

    channel_id: str
    source: str
    """Id of the route; ``events`` for the channel's own subscription."""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        identity = msgspec.json.encode((self.channel_id, self.source, self.labels))
        return sha256(identity).hexdigest()[:_ID_CHARS]


@dataclass(frozen=True, slots=True)
class Timing:
    """The pauses of a group, in microseconds."""

    wait_us: int = 0
    interval_us: int = 0
    repeat_us: int = 0
    """0: the group is not reported again."""
    is_single: bool = False
    """Whether each alert is a message of its own."""


class Seal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a batch, as the log keeps it."""

    batch_id: str
    channel_id: str
    source: str
    labels: tuple[tuple[str, str], ...] = ()
    alert_ids: tuple[str, ...] = ()
    sent_us: int = 0
    is_pending: bool = False

    @property
    def key(self) -> GroupKey:
        return GroupKey(self.channel_id, self.source, self.labels)


class SealedState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value of the records of a message's job: its state, and the seal of its batch."""

    state: JobState
    seal: Seal | None = None


def batch_id_of(key: GroupKey, first_alert_id: str) -> str:
    """Return the id of a batch of a group, which its first alert determines."""
    return sha256(f"{key.id}/{first_alert_id}".encode()).hexdigest()[:_ID_CHARS]


@dataclass(slots=True)
class Group:
    """The alerts of a group that fire, and its batch that collects alerts."""

    key: GroupKey
    timing: Timing
    firing: dict[tuple[str, str], Alert] = field(default_factory=dict)
    """The last alert of each firing episode, by rule and episode."""
    firing_id: str = ""
    """Id of the alert that began the current time in which the group fires."""
    sent_us: int = 0
    """Time of the last message."""
    collecting: Batch | None = None


@dataclass(slots=True)
class Batch:
    """Alerts that are sent as one message."""

    id: str
    group: Group
    due_us: int
    alerts: list[Alert] = field(default_factory=list)
    is_sealed: bool = False
    sent_us: int = 0

    @property
    def latest(self) -> list[Alert]:
        """Return the last alert of each episode, in order."""
        latest: dict[tuple[str, str], Alert] = {}
        for alert in self.alerts:
            episode = (alert.rule_id, alert.episode or alert.id)
            latest.pop(episode, None)
            latest[episode] = alert
        return list(latest.values())

    @property
    def seal(self) -> Seal:
        """Return the seal; without alerts if the batch still collects some."""
        key = self.group.key
        return Seal(
            batch_id=self.id,
            channel_id=key.channel_id,
            source=key.source,
            labels=key.labels,
            alert_ids=tuple(each.id for each in self.alerts) if self.is_sealed else (),
            sent_us=self.sent_us,
        )


class GroupBook:
    """All groups and their pending batches; load the seals before alerts are added."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, Group] = {}
        self.batches: dict[str, Batch] = {}
        """Pending batches by id."""
        self._seals: dict[str, Seal] = {}
        self._batch_of: dict[tuple[str, str, str], str] = {}
        """Batches by channel, source and alert."""
        self._sent_us: dict[GroupKey, int] = {}
        self._pending: dict[str, set[str]] = {}
        """Pending sealed batches by the alerts that they contain."""

    def load(self, seal: Seal) -> None:
        """Apply a seal from the log; a later one of the same batch replaces it."""
        group = self._groups.get(seal.key)
        if group is None:
            self._sent_us[seal.key] = max(self._sent_us.get(seal.key, 0), seal.sent_us)
        else:
            group.sent_us = max(group.sent_us, seal.sent_us)
        if seal.alert_ids:
            self._seals[seal.batch_id] = seal
            for alert_id in seal.alert_ids:
                self._batch_of[seal.channel_id, seal.source, alert_id] = seal.batch_id
                self._mark(alert_id, seal)

    def _mark(self, alert_id: str, seal: Seal) -> None:
        if seal.is_pending:
            self._pending.setdefault(alert_id, set()).add(seal.batch_id)
            return
        pending = self._pending.get(alert_id, set())
        pending.discard(seal.batch_id)
        if not pending:
            self._pending.pop(alert_id, None)

    def sealed_of(self, alert_id: str) -> list[Seal]:
        """Return the seals of pending batches that contain an alert."""
        return [self._seals[batch_id] for batch_id in sorted(self._pending.get(alert_id, ()))]

    def add(self, alert: Alert, key: GroupKey, timing: Timing, *, repeats: bool) -> Batch | None:
        """Add an alert to a batch of its group; return the batch, or None if it has ended.

        Args:
            alert: the alert; adding it again has no effect.
            key: its group.
            timing: the pauses of the group.
            repeats: whether a firing alert is reported again until its episode is resolved.
        """
        group = self._group(key, timing)
        was_firing = bool(group.firing)
        self._note_state(group, alert, repeats=repeats)
        known = self._batch_of.get((key.channel_id, key.source, alert.id))
        if known is not None:
            return self._sealed(known, group, alert)
        batch = group.collecting
        if batch is None:
            free_us = group.sent_us + timing.interval_us
            is_new = not was_firing and alert.created_us >= free_us
            due_us = alert.created_us + timing.wait_us if is_new else free_us
            batch_id = batch_id_of(key, alert.id)
            batch = Batch(batch_id, group, max(due_us, alert.created_us))
            self.batches[batch_id] = batch
            if not timing.is_single:
                group.collecting = batch
        batch.alerts.append(alert)
        self._batch_of[key.channel_id, key.source, alert.id] = batch.id
        return batch

    def _group(self, key: GroupKey, timing: Timing) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key, timing, sent_us=self._sent_us.pop(key, 0))
        group.timing = timing
        return group

    def _note_state(self, group: Group, alert: Alert, *, repeats: bool) -> None:
        episode = (alert.rule_id, alert.episode)
        if alert.state == "resolved":
            group.firing.pop(episode, None)
        elif repeats:
            if not group.firing:
                group.firing_id = alert.id
            group.firing[episode] = alert

    def _sealed(self, batch_id: str, group: Group, alert: Alert) -> Batch | None:
        """Return the pending batch that an alert was added to before."""
        batch = self.batches.get(batch_id)
        if batch is None:
            seal = self._seals.get(batch_id)
            if seal is None or not seal.is_pending:
                return None
            batch = Batch(batch_id, group, 0, is_sealed=True, sent_us=seal.sent_us)
            self.batches[batch_id] = batch
        if all(each.id != alert.id for each in batch.alerts):
            batch.alerts.append(alert)
        return batch

    def seal(self, batch: Batch, now_us: int) -> None:
        """End collecting; the caller writes the batch's seal before it sends the message."""
        batch.is_sealed = True
        batch.sent_us = batch.group.sent_us = now_us
        if batch.group.collecting is batch:
            batch.group.collecting = None
        self.load(msgspec.structs.replace(batch.seal, is_pending=True))

    def end(self, batch_id: str) -> None:
        """Remove a batch whose message was sent or given up."""
        batch = self.batches.pop(batch_id, None)
        if batch is None:
            return
        if batch.group.collecting is batch:
            batch.group.collecting = None
        self.load(batch.seal)

    def seal_of(self, batch_id: str) -> Seal | None:
        """Return the seal of a batch; None if it is not sealed or not known."""
        batch = self.batches.get(batch_id)
        if batch is not None:
            return batch.seal if batch.is_sealed else None
        return self._seals.get(batch_id)

    def group_of(self, key: GroupKey) -> Group | None:
        """Return a group; None if no alert was added to it."""
        return self._groups.get(key)

    def pending_in(self, group: Group) -> bool:
        """Return whether a message about changes of a group is pending."""
        return any(batch.group is group for batch in self.batches.values())

    def forget(self, before_us: int) -> None:
        """Remove seals and groups that have not changed since a time."""
        old = [
            batch_id
            for batch_id, seal in self._seals.items()
            if seal.sent_us < before_us and batch_id not in self.batches
        ]
        self._drop(old)
        idle = [
            key
            for key, group in self._groups.items()
            if not group.firing and group.collecting is None and group.sent_us < before_us
        ]
        for key in idle:
            del self._groups[key]

    def _drop(self, batch_ids: Iterable[str]) -> None:
        for batch_id in batch_ids:
            seal = self._seals.pop(batch_id)
            for alert_id in seal.alert_ids:
                self._batch_of.pop((seal.channel_id, seal.source, alert_id), None)
