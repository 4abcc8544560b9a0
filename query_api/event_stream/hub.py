"""Distribute events to the readers of a project, and keep the last ones for those who return.

The id of an event contains the next offset of each partition that is read, so that a reader can
continue at any query process.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from query_api import metrics
from query_api.errors import BadRequestError, UnavailableError
from query_api.event_stream.events import Event, Kind
from query_api.event_stream.subscription import Subscription
from query_api.settings import QuerySettings

ID_CHARS_MAX: Final = 14_000
"""Length of ids if both topics of windows and traces have 256 partitions, with any offsets."""
_PART: Final = re.compile(r"([a-z]+\d{1,6})\.(\d{1,19})", re.ASCII)
STOPPING: Final = "stopping"
UNAUTHORIZED: Final = "unauthorized"
FULL_RETRY_S: Final = 10
"""When clients may try again if there are too many readers."""
READY_WAIT_S: Final = 10.0
"""Maximum time until the ends of the topics are known; after it: 503."""

log = structlog.get_logger(__name__)


class Tail(Protocol):
    """An interface that reads the topics and calls ``EventHub.publish``."""

    async def run(self, hub: EventHub) -> None:
        """Read from the ends of the topics, or from ``hub.positions``, while the hub wants it."""


@dataclass(slots=True)
class _Kept:
    source: str
    offset: int
    event: Event
    event_id: str


@dataclass(slots=True)
class _Channel:
    """The readers of a project and its last events."""

    kept: deque[_Kept]
    begins: dict[str, int]
    """The first offset of each source from which no event is missing in ``kept``."""
    subscriptions: list[Subscription] = field(default_factory=list)
    empty_since_s: float | None = None


class EventHub:
    """Distributes the events of the topics, which are only read while there are readers."""

    def __init__(self, settings: QuerySettings, tail: Tail, clock: Callable[[], float]) -> None:
        """Make a hub; ``clock`` returns seconds that never decrease."""
        self._settings = settings
        self._tail = tail
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._task: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._is_closed = False
        self.positions: dict[str, int] = {}
        """The next offset by source; empty until the tail knows the ends."""

    @property
    def is_wanted(self) -> bool:
        """Whether there are readers, or were a short time ago."""
        self._sweep()
        return bool(self._channels) and not self._is_closed

    def wants(self, project_id: str) -> bool:
        """Return whether events of a project must be published."""
        return project_id in self._channels

    async def subscribe(
        self,
        project_id: str,
        kinds: Sequence[Kind],
        filters: Mapping[str, Sequence[str]],
        last_id: str = "",
    ) -> Subscription:
        """Return a subscription, which begins after ``last_id``, or else with new events.

        Raises:
            BadRequestError: ``last_id`` is not an id of an event.
            UnavailableError: there are too many readers, the process is stopping, or the broker
                does not respond.
        """
        after = positions_of(last_id)
        self._check_limits(project_id)
        subscription = Subscription(kinds, filters, self._settings.stream_queue_events_max)
        channel = self._channels.get(project_id)
        if channel is None:
            kept: deque[_Kept] = deque()
            channel = self._channels[project_id] = _Channel(kept, dict(self.positions))
        channel.subscriptions.append(subscription)
        channel.empty_since_s = None
        try:
            await self._ready()
        except BaseException:
            self.unsubscribe(project_id, subscription)
            raise
        if after is not None:
            _replay(channel, subscription, after, self.positions)
        return subscription

    def unsubscribe(self, project_id: str, subscription: Subscription) -> None:
        """End a subscription; the project's events are kept for ``stream_kept_s``."""
        channel = self._channels.get(project_id)
        if channel is None or subscription not in channel.subscriptions:
            return
        channel.subscriptions.remove(subscription)
        if not channel.subscriptions:
            channel.empty_since_s = self._clock()

    def begin(self, positions: Mapping[str, int]) -> None:
        """Note where reading begins, or where it continues after offsets that were lost."""
        is_lost = bool(self.positions)
        self.positions = dict(positions)
        for channel in self._channels.values():
            channel.kept.clear()
            channel.begins = dict(positions)
            if is_lost:
                for each in channel.subscriptions:
                    each.miss_unknown()
        self._is_ready.set()

    def publish(self, source: str, offset: int, events: Sequence[Event]) -> None:
        """Distribute the events of the record at an offset.

        The id of all but the last event is before the record, so a reader who returns in the
        middle of it receives all of it.
        """
        before = id_of(self.positions) if events else ""
        self.positions[source] = offset + 1
        if not events:
            return
        after = id_of(self.positions)
        for number, event in enumerate(events, 1):
            channel = self._channels.get(event.project_id)
            if channel is None:
                continue
            event_id = after if number == len(events) else before
            if len(channel.kept) >= self._settings.stream_kept_events_max:
                dropped = channel.kept.popleft()
                channel.begins[dropped.source] = dropped.offset + 1
            channel.kept.append(_Kept(source, offset, event, event_id))
            for subscription in channel.subscriptions:
                subscription.offer(event, event_id)

    async def close(self) -> None:
        """End all subscriptions and stop reading."""
        self._is_closed = True
        self._end_all()
        if self._task is not None:
            self._task.cancel()
            # It may have failed before, which has been logged and must not disturb the stop.
            await asyncio.gather(self._task, return_exceptions=True)

    def _end_all(self) -> None:
        for channel in self._channels.values():
            for each in channel.subscriptions:
                each.close(STOPPING)

    def _check_limits(self, project_id: str) -> None:
        if self._is_closed:
            raise UnavailableError("the process is stopping")
        counts = {name: len(each.subscriptions) for name, each in self._channels.items()}
        for setting, readers in (
            ("stream_connections_max", sum(counts.values())),
            ("stream_connections_per_project_max", counts.get(project_id, 0)),
        ):
            limit: int = getattr(self._settings, setting)
            if readers >= limit:
                metrics.LIMITS_REACHED.labels(setting).inc()
                message = f"at most {limit} streams can be read at the same time ({setting})"
                raise UnavailableError(message, retry_after_s=FULL_RETRY_S)

    async def _ready(self) -> None:
        if self._task is None or self._task.done():
            self._is_ready.clear()
            self.positions = {}
            self._task = asyncio.create_task(self._run(), name="event stream")
        try:
            async with asyncio.timeout(READY_WAIT_S):
                await self._is_ready.wait()
        except TimeoutError as error:
            raise UnavailableError("the broker does not respond") from error

    async def _run(self) -> None:
        try:
            await self._tail.run(self)
        except Exception as error:  # noqa: BLE001  # clients connect again, which repeats it
            log.error("event_stream_failed", reason=repr(error)[:300])  # noqa: TRY400
        finally:
            self._is_ready.clear()
            # Without the tail, they would wait for events in vain; clients connect again.
            self._end_all()

    def _sweep(self) -> None:
        until_s = self._clock() - self._settings.stream_kept_s
        for project_id, channel in list(self._channels.items()):
            if channel.empty_since_s is not None and channel.empty_since_s <= until_s:
                del self._channels[project_id]


def id_of(positions: Mapping[str, int]) -> str:
    """Return the id of the event before which all offsets were read."""
    return "_".join(f"{source}.{offset}" for source, offset in positions.items())


def positions_of(event_id: str, field: str = "Last-Event-ID") -> dict[str, int] | None:
    """Return the next offsets of an id; None if it is empty.

    Raises:
        BadRequestError: it is not an id of an event.
    """
    if not event_id:
        return None
    parts = [_PART.fullmatch(each) for each in event_id.split("_")]
    if len(event_id) > ID_CHARS_MAX or None in parts:
        raise BadRequestError(f"{field}: is not the id of an event", field=field)
    return {found[1]: int(found[2]) for found in parts if found is not None}


def _replay(
    channel: _Channel,
    subscription: Subscription,
    after: Mapping[str, int],
    positions: Mapping[str, int],
) -> None:
    """Offer the events after an id, and note if some are not kept any more."""
    if any(
        after.get(source, -1) < channel.begins.get(source, 0) or after.get(source, 0) > position
        for source, position in positions.items()
    ):
        subscription.miss_unknown()
    for kept in channel.kept:
        if kept.offset >= after.get(kept.source, 0):
            subscription.offer(kept.event, kept.event_id)


class EndOut(msgspec.Struct):
    """The last event of a stream. Clients may connect again, unless the key is not valid."""

    reason: str
    """`stopping` or `unauthorized`."""
