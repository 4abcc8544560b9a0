"""One partition of stages 2 and 3: restores its state, applies deltas, writes what changed, acknowledges."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from producers.control.kinds.budget import Budget
from streams.core.budgets.evaluation import Budgets
from streams.core.rollups.delta_record import DeltaRecord, read_deltas
from streams.core.rollups.fold import NOTHING_REFUSED, ProjectFold
from streams.errors import ProgressUnknownError
from streams.quarantine.screen import Screen
from streams.rollups import metrics
from streams.rollups.checkpoint import PERIOD_KEY_MAX_BYTES
from streams.rollups.context import Surroundings, rule_of
from streams.rollups.eviction import evict_all
from streams.rollups.failures import ProjectFailures
from streams.rollups.output import RECORD_OVERHEAD_BYTES, ProjectOutput
from streams.rollups.read_back import ReadBack
from streams.rollups.restoring import marker_of, progress_of
from streams.rollups.screen import apply_screened
from streams.runtime.event_wait import set_within
from streams.runtime.lag import THE_BROKER, THE_STORE, Backlog, Lag, Position
from streams.runtime.partition_worker import SourceMessage

log = structlog.get_logger(__name__)

BASELINE_RETRY_S = 0.05
SEEK_AGAIN_S = 2.0


@dataclass(slots=True)
class ProjectPartition:
    """The life of a partition, from its assignment until it is revoked."""

    partition: int
    around: Surroundings
    output: ProjectOutput
    screen: Screen | None = None
    read_again_to: int | None = None
    """Not ``None``: it takes over from a life in this worker that failed, and reads again what that
    had received before this offset."""
    _queue: asyncio.Queue[SourceMessage] = field(init=False)
    _fold: ProjectFold | None = None
    _expected: int | None = None
    """The offset that comes next; ``None``: whichever comes."""
    _kept_to: int = 0
    """Everything before this input offset is written."""
    _appended_s: int = 0
    """The latest append time of the records applied: broker time."""
    received_to: int = field(init=False, default=0)
    """After the last input offset that came from Faust."""
    _taking: bool = True
    _sought_at_s: float = 0.0
    _backlog: Backlog = field(default_factory=Backlog)
    _unacked: deque[SourceMessage] = field(default_factory=deque)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _flushed: asyncio.Event = field(default_factory=asyncio.Event)
    _to_settle: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _workers: list[asyncio.Task[None]] = field(default_factory=list)
    _row_bytes_max: int = 0
    _failures: ProjectFailures = field(init=False)
    _read_back: ReadBack = field(init=False)

    def __post_init__(self) -> None:
        around = self.around
        self._queue = asyncio.Queue(around.settings.pending_records_max)
        self._taking = self.read_again_to is None
        self._read_back = ReadBack(around.reader)
        self.received_to = self.read_again_to or 0
        record_bytes_max = around.kafka.record_max_bytes - RECORD_OVERHEAD_BYTES
        self._row_bytes_max = record_bytes_max
        self._failures = ProjectFailures(
            self.output,
            around.kafka.topics,
            self.partition,
            around.settings.dead_letter_limit(),
            min(around.settings.dead_letter_payload_bytes_max, record_bytes_max),
        )

    async def put(self, message: SourceMessage) -> None:
        """Take the next record; waits while too many are pending."""
        self.received_to = max(self.received_to, message.offset + 1)
        if not self._taking:
            return  # nobody else waits for this partition: what is dropped is read again
        if self._queue.full():
            metrics.LIMIT_REACHED.labels("pending_records_max").inc()
        self._settle_backlog()
        self._backlog.came(message.offset, message.append_us / 1e6)
        await self._queue.put(message)

    async def run(self) -> None:
        """Restore the state and apply records, until ``finish`` is called or it is cancelled.

        Raises:
            Exception: whatever broke; what was not acknowledged is read again by the next owner.
        """
        try:
            fold = await self._restore()
            async with asyncio.TaskGroup() as tasks:
                self._workers = [
                    tasks.create_task(self._apply_all(fold)),
                    tasks.create_task(self._settle_all(fold)),
                    tasks.create_task(
                        evict_all(self.partition, self.around, fold, lambda: self._appended_s)
                    ),
                ]
                if self.read_again_to is not None:
                    self._workers.append(tasks.create_task(self._read_again()))
                tasks.create_task(self._flush_all(fold))
            await self._end_screen()
        except Exception as error:
            await self._end_screen(error)
            raise
        finally:
            self._fold = None
            self._taking = False
            await self._stop_taking()
            self._ended.set()

    async def _end_screen(self, error: Exception | None = None) -> None:
        if self.screen is not None:
            await self.screen.end(error)

    def lag(self, end: int | None, now_s: float) -> Lag:
        """How far behind the end of its log this partition is (``streams.runtime.lag.Backlog.lag``)."""
        self._settle_backlog()
        return self._backlog.lag(end, now_s)

    def position(self) -> Position:
        """Where the work is: read by the watch for stalls, also from another thread."""
        fold = self._fold
        if fold is None or self._expected is None:
            return Position(None, self.received_to)
        needs_store = self._read_back.is_asking or fold.budgets.is_full
        waits_for = THE_STORE if needs_store else THE_BROKER if self.output.is_writing else ""
        trials = self.screen.trials_begun if self.screen is not None else 0
        return Position(self._kept_to, self.received_to, waits_for, trials)

    def _settle_backlog(self) -> None:
        if self._expected is not None:
            self._backlog.done(self._kept_to)

    async def finish(self) -> None:
        """Apply nothing more; return once what was applied is flushed and ``run`` ended."""
        if self._fold is None:
            return
        for worker in self._workers:
            worker.cancel()
        self._stopping.set()
        self._changed.set()
        await self._ended.wait()

    @property
    def is_restored(self) -> bool:
        """Whether it takes records already."""
        return self._fold is not None

    def put_budget(self, budget: Budget) -> None:
        """A budget of this partition is new, or another."""
        if self._fold is not None:
            self._fold.budgets.put(rule_of(budget), _now_us())
            self._to_settle.set()
            self._changed.set()

    def remove_budget(self, budget_id: str) -> None:
        if self._fold is not None:
            self._fold.budgets.remove(budget_id)

    async def _restore(self) -> ProjectFold:
        """1. Know all past alerts. 2. Find the last marker. 3. Wait until the store has all that
        was written. 4. In a new log: write its first marker, and begin again.
        5. Take the budgets. 6. Find out how the worker before ended.
        """
        began = time.monotonic()
        kafka, settings = self.around.kafka, self.around.settings
        await self.around.alerts_known()
        progress = await progress_of(self.around, self.output, self.partition)
        marker = await marker_of(progress, self.around, self.partition)
        unsettled_max = min(
            settings.budget_periods_unevaluated_max,
            kafka.record_max_bytes // 2 // PERIOD_KEY_MAX_BYTES,
        )
        budgets = Budgets(self.around.alerted, settings.budget_periods_max, unsettled_max)
        fold = ProjectFold(
            marker,
            budgets,
            lateness_s=settings.lateness_h * 3600,
            row_bytes_max=self._row_bytes_max,
        )
        for budget in self.around.budgets(self.partition):
            budgets.put(rule_of(budget), _now_us())
        budgets.resume(marker.unsettled)
        if self.screen is not None:
            await self.screen.begin(marker.input_offset)
        if progress.marker:
            self._expected = self._kept_to = marker.input_offset + 1
        if self.read_again_to is not None and self._expected is None:
            raise ProgressUnknownError(f"where partition {self.partition} was is not known")
        self._fold = fold
        self._to_settle.set()
        metrics.RESTORE_S.observe(time.monotonic() - began)
        log.info("restored", partition=self.partition, next_offset=self._expected)
        return fold

    async def _apply_all(self, fold: ProjectFold) -> None:
        """For each batch of records: 1. read back what is missing; 2. apply; 3. send alerts."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < self.around.settings.batch_records_max:
                batch.append(self._queue.get_nowait())
            metrics.PENDING.labels(self.partition).set(self._queue.qsize())
            due = [(event, event.value) for event in await self._due(batch)]
            if due and self.screen is not None and self.screen.is_active:
                await apply_screened(
                    self.screen,
                    fold,
                    due,
                    read_back=partial(self._read_back.is_readable, fold),
                    apply=partial(self._apply_batch, fold),
                    flushed=self._flushed_past,
                )
            else:
                await self._apply_batch(fold, due)
            await self._room()

    async def _apply_batch(
        self, fold: ProjectFold, batch: Sequence[tuple[SourceMessage, bytes]]
    ) -> None:
        """Apply records, each delta of them that can be."""
        records = [(event, read_deltas(value)) for event, value in batch]
        everything = [delta for _, record in records for delta in record.deltas]
        one_by_one = not await self._read_back.is_readable(fold, everything)
        for event, record in records:
            refused: Mapping[int, Exception] = NOTHING_REFUSED
            if fold.budgets.is_full:
                await self._room_for_periods(fold)
                one_by_one = True
            if one_by_one:
                # Also because groups may have left memory meanwhile.
                refused = await self._read_back.unreadable(fold, record.deltas)
            self._apply(fold, event, record, refused)

    async def _flushed_past(self, offset: int) -> None:
        """Return once the record at ``offset`` is in an acknowledged flush."""
        while self._kept_to <= offset:
            self._flushed.clear()
            await self._flushed.wait()

    async def _due(self, batch: list[SourceMessage]) -> list[SourceMessage]:
        """Those records that come next; what was flushed before is acknowledged, after a gap reading goes back."""
        due: list[SourceMessage] = []
        for event in batch:
            offset = event.offset
            if self._expected is not None and offset > self._expected:
                await self._go_back(self._expected, offset)
            if self._expected is None or offset == self._expected:
                due.append(event)
                self._expected = offset + 1
            elif offset < self._kept_to:
                event.ack()
        return due

    async def _go_back(self, expected: int, came: int) -> None:
        """Read again from ``expected``: Faust dropped records, or committed what we had not written.

        Not so where the log has no record before the one that came.
        """
        if time.monotonic() < self._sought_at_s + SEEK_AGAIN_S:
            return
        earliest = await self.around.earliest(self.partition)
        if earliest > expected:
            # Retention was shorter than this worker was away.
            log.error("records_lost", partition=self.partition, first=expected, next=earliest)
        to = self._expected = await self.around.next_record(self.partition, max(expected, earliest))
        if to == came:
            return
        log.warning("going_back", partition=self.partition, to=to)
        metrics.SEEKS.inc()
        await self.around.seek(self.partition, to)
        self._sought_at_s = time.monotonic()

    async def _read_again(self) -> None:
        """Go back to where the life before was, until what it had received came again.

        Faust drops records that it fetched before it went back, so once may not be enough.
        """
        assert self._expected is not None, "run() saw to it"
        self._taking = True
        while self._expected < self.received_to:
            before = self._expected
            await self.around.seek(self.partition, before)
            metrics.SEEKS.inc()
            self._sought_at_s = time.monotonic()
            await asyncio.sleep(SEEK_AGAIN_S)
            while self._expected > before:
                before = self._expected
                await asyncio.sleep(SEEK_AGAIN_S)

    async def _stop_taking(self) -> None:
        """Let go of what waits: who brings more must not wait for ever."""
        while not self._queue.empty():
            self._queue.get_nowait()
            await asyncio.sleep(0)

    def _apply(
        self,
        fold: ProjectFold,
        event: SourceMessage,
        record: DeltaRecord,
        refused: Mapping[int, Exception],
    ) -> None:
        # The broker's time of the record: what is late does not depend on this machine's clock, nor
        # on when a record is read again.
        self._appended_s = max(self._appended_s, event.append_us // 1_000_000)
        applied = fold.apply(event.offset, record.deltas, self._appended_s, refused)
        self._failures.alerts(self.output.alert(applied.crossings))
        self._unacked.append(event)
        self._changed.set()
        if not fold.budgets.is_settled:
            self._to_settle.set()
        metrics.RECORDS.inc()
        metrics.DELTAS.inc(len(record.deltas))
        metrics.REPEATS.inc(applied.repeats)
        metrics.LATE.inc(applied.late)
        self._failures.record(record, applied.failed, event.offset, event.append_us)

    async def _room(self) -> None:
        """Wait while too much is applied but not flushed."""
        while len(self._unacked) >= self.around.settings.unacknowledged_records_max:
            metrics.LIMIT_REACHED.labels("unacknowledged_records_max").inc()
            self._flushed.clear()
            await self._flushed.wait()

    async def _room_for_periods(self, fold: ProjectFold) -> None:
        """Wait while as many budget periods as may be held are still to be evaluated."""
        metrics.LIMIT_REACHED.labels("budget_periods_max").inc()
        while fold.budgets.is_full:
            self._settled.clear()
            self._to_settle.set()
            await self._settled.wait()

    async def _flush_all(self, fold: ProjectFold) -> None:
        """Flush soon after each change, and now and then without one, so that the marker stays."""
        settings = self.around.settings
        while not self._stopping.is_set():
            if await set_within(self._changed, settings.marker_interval_s):
                await set_within(self._stopping, settings.flush_interval_s)
            await self._flush(fold)

    async def _flush(self, fold: ProjectFold) -> None:
        """1. Write what changed. 2. Acknowledge the records it came from, in order."""
        self._changed.clear()
        events, self._unacked = self._unacked, deque()
        flush = fold.flush()
        self._failures.rows(flush.failed, flush.marker.input_offset, _now_us())
        self._failures.budgets(fold.budgets.take_failed())
        metrics.LIMIT_REACHED.labels("budget_periods_unevaluated_max").inc(
            fold.budgets.take_not_evaluated()
        )
        written = await self.output.write(flush)
        self._kept_to = flush.marker.input_offset + 1
        fold.written(spend_to=written.spend_to, windows_to=written.windows_to)
        for event in events:
            event.ack()
        self._flushed.set()

    async def _settle_all(self, fold: ProjectFold) -> None:
        """Find out what unsettled budget periods have spent, and alert what that crosses."""
        while True:
            await self._to_settle.wait()
            self._to_settle.clear()
            while not fold.budgets.is_settled:
                baselines = fold.budgets.begin(fold.spend, self.around.settings.baselines_max)
                stored = await self.around.reader.spent_pico(baselines)
                for baseline, stored_pico in zip(baselines, stored, strict=True):
                    if isinstance(stored_pico, Exception):
                        fold.budgets.set_aside(baseline.budget, stored_pico)
                        continue
                    crossings = fold.budgets.settle(baseline, stored_pico, fold.spend.arrivals)
                    if crossings is None:
                        metrics.BASELINE_RETRIES.inc()
                    self._failures.alerts(self.output.alert(crossings or ()))
                self._changed.set()
                metrics.UNSETTLED.labels(self.partition).set(len(fold.budgets.unsettled))
                self._settled.set()
                await asyncio.sleep(0 if fold.budgets.is_settled else BASELINE_RETRY_S)
            self._settled.set()


def _now_us() -> int:
    return time.time_ns() // 1_000
