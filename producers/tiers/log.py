"""Follow the topic ``tiers``, and write to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from producers import metrics
from producers.disk import DiskFloor
from producers.errors import ControlLimitError, ControlUnavailableError
from producers.kafka.clients import new_producer, started, stopped
from producers.kafka.log_reader import LogReader
from producers.settings import KafkaSettings
from producers.tiers.book import TierBook
from producers.tiers.record import TIERS, Tier, key_of, tier_of, value_of

STOP_TIMEOUT_S: Final = 2.0
BATCH_BYTES: Final = 256 * 1024

log = structlog.get_logger(__name__)


class TierLog:
    """The tiers of all users: after ``start``, ``book`` has all of them and follows changes."""

    def __init__(self, kafka: KafkaSettings, disk: DiskFloor | None = None) -> None:
        """Prepare to follow the topic; ``start`` connects.

        ``disk`` refuses writes while the broker's disk is nearly full; None: no disk is watched.
        """
        self.book = TierBook()
        self._kafka = kafka
        self._disk = disk
        self._topic = kafka.topics.of(TIERS)
        self._subscribers: list[Callable[[Tier], None]] = []
        self._being_written: Counter[tuple[str, str]] = Counter()
        """Projects and users that get their first tier in writes that have begun."""
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._reader = LogReader(
            kafka,
            TopicPartition(self._topic, 0),
            self._apply,
            isolation="read_uncommitted",
            on_progress=_show_lag,
            disconnected_max_s=kafka.broker_wait_s,
        )

    async def start(self) -> None:
        """Read the whole topic, and then follow it.

        Raises:
            BrokerUnavailableError: no broker answered within ``broker_wait_s``.
            TopicError: the topic does not exist.
        """
        await self._reader.start()
        await self._reader.caught_up()

    async def stop(self) -> None:
        """Stop following the topic; the book remains unchanged."""
        await self._reader.stop()
        if self._producer is not None:
            await stopped(self._producer, STOP_TIMEOUT_S)

    def subscribe(self, callback: Callable[[Tier], None]) -> None:
        """Call ``callback`` with each later change; ``book`` has the current tiers."""
        self._subscribers.append(callback)

    async def write(self, tiers: Sequence[Tier], *, per_project_max: int) -> None:
        """Write the tiers of users, and return when they have been read back.

        Of several writes of the same user, the last in the topic is valid. The limits are exact
        within a process; several processes may exceed them by what they write at the same time.

        Raises:
            ControlLimitError: the project or the installation would have too many tiers.
            ControlUnavailableError: they were not written or read back in time; some of them may
                have been.
        """
        low = self._disk.reason() if self._disk is not None else None
        if low is not None:
            raise ControlUnavailableError(low)
        with self._counted(tiers, per_project_max):
            try:
                async with asyncio.timeout(self._kafka.control_write_timeout_s):
                    await self._write(tiers)
            except (KafkaError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    metrics.LIMIT_REACHED.labels(limit="control_write_timeout_s").inc()
                message = "the tiers were not written in time"
                raise ControlUnavailableError(message) from error

    async def _write(self, tiers: Sequence[Tier]) -> None:
        producer = await self._started_producer()
        sent = [
            await producer.send(
                self._topic,
                value_of(each),
                key=key_of(each.project_id, each.user_id),
                partition=0,
            )
            for each in tiers
        ]
        written = await asyncio.gather(*sent)
        await self._reader.read_up_to(max(each.offset for each in written) + 1)

    @contextlib.contextmanager
    def _counted(self, tiers: Sequence[Tier], per_project_max: int) -> Iterator[None]:
        """Count users that get their first tier, while the block writes it."""
        new = [
            (each.project_id, each.user_id)
            for each in tiers
            if each.tier and not self.book.tier_of(each.project_id, each.user_id)
        ]
        self._being_written.update(new)
        try:
            for project_id in {project_id for project_id, _ in new}:
                self._check_limits(project_id, per_project_max)
            yield
        finally:
            self._being_written.subtract(new)
            self._being_written += Counter()  # drop those that are no longer written

    def _check_limits(self, project_id: str, per_project_max: int) -> None:
        users = self.book.in_project(project_id)
        pending = [each for each in self._being_written if not self.book.tier_of(*each)]
        of_project = sum(owner == project_id for owner, _ in pending)
        if len(users) + of_project > per_project_max:
            metrics.LIMIT_REACHED.labels(limit="tiers_per_project_max").inc()
            message = f"at most {per_project_max} users can have a tier (tiers_per_project_max)"
            raise ControlLimitError(message)
        if len(self.book) + len(pending) > self._kafka.tiers_max:
            metrics.LIMIT_REACHED.labels(limit="tiers_max").inc()
            raise ControlLimitError("too many users of the installation have a tier (tiers_max)")

    async def _started_producer(self) -> AIOKafkaProducer:
        """Connect the producer at the first write, because most processes never write."""
        async with self._starting:
            if self._producer is None:
                self._producer = await started(
                    lambda: new_producer(self._kafka, batch_bytes=BATCH_BYTES), self._kafka
                )
            return self._producer

    def _apply(self, record: ConsumerRecord) -> None:
        try:
            changed = tier_of(record.key or b"", record.value)
        except ValueError as error:  # written by another program or a newer version
            metrics.TIERS_UNREADABLE.inc()
            log.warning("tier_skipped", offset=record.offset, reason=str(error)[:300])
            return
        if self.book.apply(changed):
            for subscriber in self._subscribers:
                subscriber(changed)


def _show_lag(next_offset: int, end: int) -> None:
    metrics.TIERS_LAG_RECORDS.set(end - next_offset)
