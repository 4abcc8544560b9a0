"""Process one partition of ``deltas`` in the alerting stage."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from clickhouse.store import Store
from producers.control.log import ControlLog
from producers.control.record import Change
from producers.kafka.clients import started, stopped
from producers.kafka.log_cursor import LogCursor, WhenTruncated, new_log_consumer
from producers.settings import KafkaSettings
from producers.tiers.book import TierBook
from producers.tiers.record import Tier
from streams.alerting import metrics
from streams.alerting.call_reader import CallReader
from streams.alerting.checkpoint import Checkpoint
from streams.alerting.earlier_reader import EarlierReader
from streams.alerting.evaluation import Evaluation, Running
from streams.alerting.events_progress import EventsProgress
from streams.alerting.history import HistoryReader
from streams.alerting.output import AlertingOutput
from streams.alerting.readers import Reader, running_readers
from streams.alerting.restoring import read_alerts, read_states
from streams.alerting.row_reader import RowReader
from streams.alerting.settings import AlertingSettings
from streams.alerting.stored_spend import SpendSource, read_spend
from streams.alerting.usual_reader import UsualReader
from streams.core.alerting.evaluator import EvaluatorContext, EvaluatorKind
from streams.core.rollups.deltas import partition_of_project
from streams.runtime.event_wait import set_within
from streams.runtime.lag import THE_BROKER, Backlog, Lag, Position
from streams.runtime.partition_worker import SourceMessage

STOP_TIMEOUT_S: Final = 2.0
RECORDS_PER_TURN: Final = 16
"""Records that are applied before other tasks run."""
ROWS_POLL_MS: Final = 50
"""Maximum time for which alerts about single rows wait."""
BACKLOG_AGE_S: Final = 2.0
"""Age of the newest applied record above which the partition does not pause."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PartitionContext:
    """What the partitions of this process share.

    ``now_us`` is the time of the broker's clock. ``store`` is only needed by rules that compare
    with earlier windows; None if there is none. Without ``events``, all events count as processed.
    """

    kafka: KafkaSettings
    settings: AlertingSettings
    control: ControlLog
    kinds: Mapping[str, EvaluatorKind]
    now_us: Callable[[], int]
    tiers: TierBook
    spend: SpendSource | None = None
    store: Store | None = None
    events: EventsProgress | None = None


class AlertingPartition:
    """The worker of one partition (``streams.runtime.partition_worker``).

    It reads its partition itself, from its checkpoint on; the consumer group only assigns
    partitions.
    """

    def __init__(self, partition: int, context: PartitionContext, output: AlertingOutput) -> None:
        self.is_restored = False
        self._partition = partition
        self._context = context
        self._kafka, self._settings = context.kafka, context.settings
        self._deltas = TopicPartition(context.kafka.topics.deltas, partition)
        self._output = output
        self._evaluation = Evaluation(self._evaluators())
        self._history = HistoryReader(self._kafka, self._deltas, self._evaluation)
        self._rows = RowReader(self._kafka, self._evaluation, context.now_us)
        self._earlier = EarlierReader(
            context.store, self._settings, self._evaluation, context.now_us
        )
        self._usual = UsualReader(context.store, self._settings, self._evaluation, context.now_us)
        self._calls = CallReader(context.store, self._settings, self._evaluation, context.now_us)
        self._backlog = Backlog()
        self._received_to = 0
        self._written_to: int | None = None
        self._unflushed = 0
        self._checkpoints: deque[Checkpoint] = deque()
        """Those of earlier flushes whose states are not all written, from the last written one."""
        self._is_changed = self._has_begun = False
        self._flush_pause_s = context.settings.flush_interval_s
        self._flushed_at_s = self._ticked_at_s = 0.0
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Return false, because records are ignored."""
        return False

    async def put(self, message: SourceMessage) -> None:
        """Ignore a record, because the worker reads its partition itself."""

    async def run(self) -> None:
        """1. Restore the states. 2. Repeat: read, apply, tick, send alerts and flush.

        Raises:
            KafkaError, LogStalledError, BrokerUnavailableError: the broker does not answer.
        """
        try:
            await self._restore()
            consumer: AIOKafkaConsumer = await started(
                lambda: new_log_consumer(self._kafka), self._kafka
            )
            try:
                async with running_readers(self._readers(), self._partition, self._settings):
                    await self._process(consumer)
            finally:
                await stopped(consumer, STOP_TIMEOUT_S)
        finally:
            self._ended.set()

    def _readers(self) -> dict[str, Reader]:
        """Return what reads in the background for the evaluators, by name."""
        readers: dict[str, Reader] = {
            "history": lambda: self._history.run(self._context.now_us),
            "rows": self._rows.run,
            "earlier windows": self._earlier.run,
            "usual spend": self._usual.run,
            "scored calls": self._calls.run,
        }
        source = self._context.spend
        if source is not None:
            readers["stored spend"] = lambda: read_spend(
                self._partition, self._evaluation, source, self._settings
            )
        return readers

    async def finish(self) -> None:
        """Stop after a last flush."""
        self._stopping.set()
        if self.is_restored:
            await self._ended.wait()

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""
        return self._backlog.lag(end, now_s)

    def position(self) -> Position:
        """Return the progress of this worker; other threads may call this."""
        waits_for = THE_BROKER if self._output.is_writing else ""
        return Position(self._written_to, self._received_to, waits_for)

    def control_changed(self, change: Change) -> None:
        """Pass a change of the control plane to the evaluators."""
        self._evaluation.control_changed(change, self._context.now_us())
        self._is_changed = True
        self._history.request()
        self._rows.request()

    def tier_changed(self, tier: Tier) -> None:
        """Pass a change of a user's tier to the evaluators."""
        self._evaluation.tier_changed(tier, self._context.now_us())
        self._is_changed = True

    async def _restore(self) -> None:
        """Restore the evaluators.

        1. Pass them all control records; from here on, also changes. 2. Restore the states.
        3. Read all alerts. 4. Begin after the last checkpoint, or at the start of the log.
        """
        began_s = time.monotonic()
        for record in self._context.control.view.records():
            self._evaluation.control_changed(record, self._context.now_us())
        topics = self._kafka.topics
        names = dict.fromkeys(
            [self._output.states_topic, *(topics.of(kind.states) for kind in self._kinds())]
        )
        written = await read_states(self._kafka, self._partition, names)
        for topic, states in written.states.items():
            for key, value in states.items():
                self._evaluation.restore(topic, key, value)
        async for alert in read_alerts(self._kafka):
            if self._owns(alert.project_id):
                self._evaluation.restore_alert(alert)
        checkpoint = written.checkpoint or Checkpoint()
        self._checkpoints.append(checkpoint)
        self._evaluation.restored(
            checkpoint.input_offset, checkpoint.applied, self._context.now_us()
        )
        self._rows.read_to_us = checkpoint.rows_us
        self._written_to = self._received_to = checkpoint.input_offset + 1
        self._backlog.done(self._written_to)
        self.is_restored = True
        metrics.RESTORE_S.observe(time.monotonic() - began_s)
        log.info(
            "alerting_restored",
            partition=self._partition,
            next_offset=self._written_to,
            states=sum(map(len, written.states.values())),
        )

    async def _process(self, consumer: AIOKafkaConsumer) -> None:
        cursor = LogCursor(
            consumer,
            self._deltas,
            self._evaluation.input_offset + 1,
            stall_timeout_s=self._kafka.log_stall_timeout_s,
            when_truncated=WhenTruncated.CONTINUE,
        )
        self._flushed_at_s = time.monotonic()
        self._note_missing()
        while not self._stopping.is_set():
            records = await cursor.poll(self._poll_ms(), 0)
            began_s = time.monotonic()
            await self._apply(records)
            is_behind = cursor.position < (consumer.highwater(self._deltas) or 0)
            if self._tick(is_behind) and not self._has_begun and self._evaluation.has_time:
                # Event time has begun, so older deltas can be added. After a start, the time is
                # not known until the progress of stage 1 is, or a record is applied.
                self._has_begun = True
                self._history.request()
            busy_s = time.monotonic() - began_s
            await self._send_alerts()
            if time.monotonic() >= self._flush_due_s():
                await self._flush()
            await self._gather(busy_s if records else 0.0)
        await self._flush(is_last=True)

    def _poll_ms(self) -> int:
        """Return the time until the next tick or flush."""
        due_s = min(self._ticked_at_s + self._settings.tick_interval_s, self._flush_due_s())
        wait_ms = max(1, int((due_s - time.monotonic()) * 1_000))
        return min(wait_ms, ROWS_POLL_MS) if self._rows.is_reading else wait_ms

    def _flush_due_s(self) -> float:
        settings = self._settings
        if self._is_overdue():
            metrics.LIMIT_REACHED.labels("unflushed_records_max").inc()
            return 0.0
        is_changed = self._unflushed or self._is_changed
        interval_s = self._flush_pause_s if is_changed else settings.checkpoint_interval_s
        return self._flushed_at_s + interval_s

    async def _apply(self, records: list[ConsumerRecord]) -> None:
        for number, record in enumerate(records):
            if number % RECORDS_PER_TURN == RECORDS_PER_TURN - 1:
                await asyncio.sleep(0)  # other stages share the event loop
            append_us = record.timestamp * 1_000
            self._backlog.received(record.offset, append_us / 1e6)
            self._received_to = record.offset + 1
            self._evaluation.apply(record.offset, append_us, record.value or b"")
        self._unflushed += len(records)

    def _tick(self, is_behind: bool) -> bool:
        """Evaluate what depends on time, at intervals; return whether it was time for it.

        While records are waiting, here or in stage 1, time is that of the log: otherwise, a rule
        about silence would take a backlog for silence.
        """
        now_s = time.monotonic()
        if now_s < self._ticked_at_s + self._settings.tick_interval_s:
            return False
        self._ticked_at_s = now_s
        appended_us = self._evaluation.appended_us
        now_us, events = self._context.now_us(), self._context.events
        known_us = now_us if events is None else max(appended_us, events.time_us(now_us))
        self._note_missing()
        self._evaluation.tick(appended_us if is_behind else known_us)
        self._is_changed = True
        return True

    def _note_missing(self) -> None:
        """Pass on whether accepted events are missing in what was applied."""
        if self._context.events is not None:
            self._evaluation.events_deferred(is_partial=self._context.events.is_partial)

    async def _send_alerts(self) -> None:
        await self._output.send_alerts(self._evaluation.take_alerts(), self._evaluation.appended_us)

    async def _gather(self, busy_s: float) -> None:
        """Let further records arrive, so that they are applied together.

        The pause is proportional to the time that applying the last records took. A backlog is
        applied without pauses.
        """
        settings = self._settings
        age_s = (self._context.now_us() - self._evaluation.appended_us) / 1e6
        if busy_s and age_s < BACKLOG_AGE_S:
            pause_s = min(settings.gather_max_s, busy_s * (1 / settings.gather_cpu_share - 1))
            await set_within(self._stopping, pause_s)

    def _is_overdue(self) -> bool:
        """Return whether too many records are not contained in a checkpoint."""
        waiting = self._evaluation.input_offset - self._checkpoints[0].input_offset
        return waiting >= self._settings.unflushed_records_max

    async def _flush(self, *, is_last: bool = False) -> None:
        """Write changed states and a checkpoint (``AlertingOutput.flush``), if there are any.

        If too many states have changed, some wait. Then the checkpoint is that of the last flush
        whose states are all written.
        """
        rows_us = self._rows.read_to_us
        await self._send_alerts()  # those of the rows before ``rows_us``
        now_s, evaluation = time.monotonic(), self._evaluation
        is_whole = is_last or self._is_overdue()
        states = evaluation.take_states(None if is_whole else self._states_max())
        self._flush_pause_s = self._pause_after(sum(map(len, states.values())))
        is_due = now_s >= self._flushed_at_s + self._settings.checkpoint_interval_s
        self._is_changed, unflushed, self._unflushed = False, self._unflushed, 0
        self._flushed_at_s = now_s
        if not (unflushed or is_due or any(states.values())):
            return
        input_offset, written_to = evaluation.input_offset, evaluation.written_to
        self._is_changed = written_to < input_offset
        checkpoints = self._checkpoints
        checkpoints.append(Checkpoint(input_offset, evaluation.applied(), rows_us))
        while len(checkpoints) > 1 and checkpoints[1].input_offset <= written_to:
            checkpoints.popleft()
        await self._output.flush(states, checkpoints[0])
        self._written_to = input_offset + 1
        self._backlog.done(self._written_to)

    def _states_max(self) -> int:
        """Return how many states that can wait a flush may write."""
        return int(self._settings.states_per_s_max * self._settings.flush_interval_max_s)

    def _pause_after(self, states: int) -> float:
        """Return the time until the next flush, after one of this many states."""
        settings = self._settings
        pause_s = min(states / settings.states_per_s_max, settings.flush_interval_max_s)
        if pause_s <= settings.flush_interval_s:
            return settings.flush_interval_s
        metrics.LIMIT_REACHED.labels("states_per_s_max").inc()
        return pause_s

    def _kinds(self) -> Iterable[EvaluatorKind]:
        return self._context.kinds.values()

    def _owns(self, project_id: str) -> bool:
        number = partition_of_project(project_id, self._kafka.project_partitions)
        return number == self._partition

    def _evaluators(self) -> Iterator[Running]:
        for kind in self._kinds():
            context = EvaluatorContext(
                self._partition, self._owns, self._settings, _count_limit, self._context.tiers
            )
            yield Running(kind.name, self._kafka.topics.of(kind.states), kind.new(context))


def _count_limit(name: str, count: int) -> None:
    metrics.LIMIT_REACHED.labels(name).inc(count)
