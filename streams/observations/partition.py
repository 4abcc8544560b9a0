"""Process one partition of stage 1: restore its state, fold chunks of events and write rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog

from producers.kafka.topics import Topics
from producers.traffic import Traffic
from streams.core.observations.effects import Effects
from streams.core.observations.encoding import EncodedChunk, EncodingLimits, encoded
from streams.core.observations.failures import (
    FoldFailedError,
    StoreAwayError,
)
from streams.core.observations.fold import Needs, ObservationsFold
from streams.core.observations.isolation import Isolation
from streams.core.observations.reading import ReadRecord, SourceRecord, read
from streams.core.pricing.price_book import PriceBook
from streams.core.pricing.valuation import Tokens
from streams.errors import RecordGapError
from streams.observations import metrics
from streams.observations.chunk_counts import has_too_many_deletions, measure, skip
from streams.observations.deferral import Deferral
from streams.observations.inbox import Inbox
from streams.observations.known_traces import known_traces
from streams.observations.ports import History, Output
from streams.observations.restoring import adopt_restored, complete_traces, restored_from
from streams.observations.screen import ObservationsScreen
from streams.observations.settings import StreamsSettings
from streams.observations.trace_log import TraceLog
from streams.observations.writer import ChunkWriter, summary_of
from streams.quarantine.screen import Screen
from streams.runtime.lag import THE_BROKER, THE_STORE, Backlog, Lag, Position
from streams.runtime.partition_worker import SourceMessage

RECORD_MAX_BYTES: Final = 16 * 1024 * 1024
"""Default of the size of records that the broker accepts."""

ATTEMPTS_SPARE: Final = 8
"""Attempts to fold a chunk in addition to one per event."""

TryFirst = Callable[[Sequence[ReadRecord], Isolation], Awaitable[None]]

log = structlog.get_logger(__name__)


class PartitionStage:
    """The worker of one partition of ``events`` (``streams.runtime.partition_worker``)."""

    def __init__(
        self,
        partition: int,
        topics: Topics,
        project_partitions: int,
        settings: StreamsSettings,
        output: Output,
        history: History,
        prices: PriceBook,
        tokens: Tokens,
        record_max_bytes: int = RECORD_MAX_BYTES,
        screen: Screen | None = None,
    ) -> None:
        self.restored = asyncio.Event()
        self._partition = partition
        self._topics = topics
        self._encoding = EncodingLimits(
            project_partitions, settings.output_record_bytes, record_max_bytes
        )
        self._limits = settings.fold_limits(self._encoding)
        self._settings = settings
        self._output = output
        self._history = history
        self._prices = prices
        self._tokens = tokens
        self._screen = screen
        self._inbox = Inbox(settings.inbox_records_max, settings.inbox_bytes_max)
        self._fold: ObservationsFold | None = None
        self._writer: ChunkWriter | None = None
        self._folding: asyncio.Task[None] | None = None
        self._last_put = -1
        self._backlog = Backlog()
        self._resume_after: int | None = None
        self._failure: Exception | None = None
        self._try_first: TryFirst | None = None
        self._folded_to = -1
        self._waits_for = ""
        self._deferral = Deferral(output, history, topics, partition, settings, self._limits.rows)
        self._attempts = 0
        self._chunk = 0

    async def put(self, message: SourceMessage) -> None:
        """Add the next record; wait while the inbox is full.

        Raises:
            RecordGapError: a record is missing before this one.
        """
        if message.offset <= self._last_put:
            return
        due = self._last_put + 1
        if (
            0 < due < message.offset
            and await self._history.next_record(self._partition, due) < message.offset
        ):
            place = f"{self._topics.events}/{self._partition}"
            raise RecordGapError(
                f"records of {place} are missing: offset {message.offset} followed {self._last_put}"
            )
        self._last_put = message.offset
        self._settle_backlog()
        self._backlog.received(message.offset, message.append_us / 1e6)
        limit = self._inbox.limit_reached
        if limit is not None:
            metrics.LIMIT_REACHED.labels(limit).inc()
        await self._inbox.put(message)

    def lag(self, end: int | None, now_s: float) -> Lag:
        """Return how far the partition is behind ``end`` (``streams.runtime.lag.Backlog.lag``)."""
        self._settle_backlog()
        return self._backlog.lag(end, now_s)

    def position(self) -> Position:
        """Return the progress of this worker; other threads may call this."""
        if self._resume_after is None or self._writer is None:
            return Position(None, self._last_put + 1)
        done = max(self._resume_after, self._writer.committed_offset)
        waits_for = self._waits_for or (THE_BROKER if self._writer.is_writing else "")
        trials = self._screen.trials_begun if self._screen is not None else 0
        return Position(done + 1, self._last_put + 1, waits_for, self._attempts + trials)

    def _settle_backlog(self) -> None:
        if self._resume_after is not None and self._writer is not None:
            self._backlog.done(max(self._resume_after, self._writer.committed_offset) + 1)

    @property
    def is_full(self) -> bool:
        """Return whether ``put`` would wait."""
        return self._inbox.is_full

    @property
    def is_restored(self) -> bool:
        """Return whether the state is restored, so that records are processed."""
        return self.restored.is_set()

    def use_prices(self, prices: PriceBook) -> None:
        """Price later events with ``prices``."""
        self._prices = prices
        if self._fold is not None:
            self._fold.use_prices(prices)

    async def run(self) -> None:
        """Restore the state and fold events, until cancelled.

        1. Read the tail of the output: the last commit, and the traces that it contains completely.
        2. Find out which traces exist (``known_traces``).
        3. Fold chunks; traces that are not cached are read back first. ``ChunkWriter`` writes the
        results, and ``TraceLog`` the new traces.

        Raises:
            TooManyDeadLettersError: most of the input is unreadable.
            KafkaError: the broker refused a record. The state in memory is then ahead of the log.
        """
        settings, partition = self._settings, self._partition
        restored, version = await restored_from(
            self._history, self._output, self._topics, partition
        )
        known = await known_traces(self._history, settings, partition, restored)
        seen, traces_to = known.seen, restored.ends.traces
        fold = self._fold = ObservationsFold(
            self._topics.events,
            partition,
            self._limits,
            self._prices,
            self._tokens,
            seen,
            version,
        )
        fold.deleted.restore(await self._history.trace_deletions(partition), version.version)
        adopt_restored(fold, complete_traces(restored, seen))
        trace_log = TraceLog(
            self._output, self._history, self._topics, partition, settings, known, traces_to
        )
        self._writer = ChunkWriter(
            self._output,
            self._topics,
            partition,
            in_flight_max=settings.chunks_in_flight_max,
            ends=restored.ends,
            on_traces=trace_log.written,
        )
        self._resume_after = restored.resume_after
        metrics.RESTORED.inc(len(fold.cache.traces))
        log.info(
            "partition_restored",
            partition=partition,
            resume_after=restored.resume_after,
            traces=len(fold.cache.traces),
            seen=len(seen),
        )
        await self._deferral.begin()
        if self._screen is not None:
            await self._screen.begin(restored.resume_after)
        self.restored.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._writer.run())
                tasks.create_task(trace_log.run())
                tasks.create_task(self._deferral.run(self._writer.written_so_far))
                self._folding = tasks.create_task(
                    self._fold_all(fold, self._writer, restored.resume_after)
                )
        except Exception as error:
            self._failure = error
            raise

    async def finish(self) -> None:
        """Stop folding; return when the results of all chunks are written and acknowledged."""
        await self._inbox.close()
        if self._folding is not None and self._writer is not None:
            self._folding.cancel()
            if self._failure is None:
                await self._writer.idle()
            if self._screen is not None:
                await self._screen.end(self._failure)

    async def _fold_all(
        self, fold: ObservationsFold, writer: ChunkWriter, resume_after: int
    ) -> None:
        settings = self._settings
        linger_s = settings.chunk_linger_ms / 1000, settings.chunk_linger_max_ms / 1000
        full = settings.chunk_records_max, settings.chunk_bytes_max
        traffic, began = Traffic(settings.light_traffic_bytes_per_s), 0.0
        while True:
            wait_s = began + traffic.stretched(*linger_s) - time.monotonic()
            if wait_s > 0 and not self._inbox.has_chunk(*full):
                await asyncio.sleep(wait_s)
            messages = await self._inbox.take(*full)
            began = time.monotonic()
            traffic.add(sum(len(message.value) for message in messages), began)
            fresh = [message for message in messages if message.offset > resume_after]
            skip(messages[: len(messages) - len(fresh)])
            if not fresh:
                continue
            if 0 <= resume_after < fresh[0].offset - 1 and not self._chunk:
                log.error(
                    "source_records_lost",
                    partition=self._partition,
                    after=resume_after,
                    next=fresh[0].offset,
                )
            if self._screen is not None and self._screen.is_active:
                await self._fold_screened(self._screen, fold, writer, fresh)
            else:
                await self._fold_chunk(fold, writer, fresh)

    async def _fold_screened(
        self,
        screen: Screen,
        fold: ObservationsFold,
        writer: ChunkWriter,
        messages: list[SourceMessage],
    ) -> None:
        """Fold a chunk without the events that crash the process."""
        screened = ObservationsScreen(screen, fold, self._encoding)
        self._try_first = screened.try_first
        try:
            await screened.fold(
                messages,
                fold_chunk=partial(self._fold_chunk, fold, writer),
                folded_to=lambda: self._folded_to,
                written=lambda: writer.written(self._chunk),
            )
        finally:
            self._try_first = None

    async def _fold_chunk(
        self, fold: ObservationsFold, writer: ChunkWriter, messages: list[SourceMessage]
    ) -> None:
        """Fold records as one chunk; an event that raises becomes a dead letter alone.

        See ``streams.core.observations.isolation``.
        """
        self._chunk += 1
        messages = self._deferral.without_deferred(messages)
        records = [
            read(SourceRecord(each.offset, each.append_us, each.value), self._limits.rows)
            for each in messages
        ]
        if has_too_many_deletions(records, self._settings):
            await self._fold_halves(fold, writer, messages)
            return
        isolation = Isolation()
        # An attempt sets aside an event, or names a trace that the next one checks: at most two per
        # event. The limit ends the attempts if the isolation itself is defective.
        may_defer = True
        attempts_left = 2 * sum(len(record.lines) for record in records) + ATTEMPTS_SPARE
        while True:
            try:
                effects, chunk = await self._attempt(
                    fold, writer, records, isolation, may_defer=may_defer
                )
                break
            except StoreAwayError as away:
                rest = None  # the sink is only late, so the partition waits for it
                if self._deferral.is_store_away:
                    committed_to = writer.committed_offset
                    rest = await self._deferral.defer(messages, away.traces, committed_to)
                if rest is not None:
                    await self._fold_chunk(fold, writer, rest)
                    return
                may_defer = False
            except FoldFailedError as failure:
                metrics.FOLD_RETRIES.inc()
                fold.forget(records)
                attempts_left -= 1
                if not attempts_left:
                    raise
                if not isolation.learn(failure, records):
                    if len(records) > 1:
                        await self._fold_halves(fold, writer, messages)
                        return
                    isolation.leave_out_all(failure, records)
            await asyncio.sleep(0)  # let other partitions run between the attempts
        measure(fold, effects, self._partition)
        self._folded_to = messages[-1].offset
        summary = summary_of(effects)
        del effects, records  # free their memory, because ``begin`` may wait
        await writer.begin(self._chunk, messages, summary, chunk)

    async def _fold_halves(
        self, fold: ObservationsFold, writer: ChunkWriter, messages: list[SourceMessage]
    ) -> None:
        half = len(messages) // 2
        for part in (messages[:half], messages[half:]):
            await self._fold_chunk(fold, writer, part)

    async def _attempt(
        self,
        fold: ObservationsFold,
        writer: ChunkWriter,
        records: list[ReadRecord],
        isolation: Isolation,
        *,
        may_defer: bool,
    ) -> tuple[Effects, EncodedChunk]:
        """Fold once, without the events that failed in earlier attempts.

        Raises:
            StoreAwayError: ``may_defer`` is set, and the store does not answer.
            FoldFailedError: an event raised; the state of its traces must be discarded.
        """
        self._attempts += 1
        needs = fold.needs(records, isolation)
        if needs:
            await self._read_back(fold, writer, needs, may_defer=may_defer)
        if self._try_first is not None:
            await self._try_first(records, isolation)
        began = time.perf_counter()
        effects = fold.fold(records, needs, self._chunk, isolation)
        chunk = encoded(effects, self._encoding)
        metrics.FOLD_S.observe(time.perf_counter() - began)
        return effects, chunk

    async def _read_back(
        self, fold: ObservationsFold, writer: ChunkWriter, needs: Needs, *, may_defer: bool
    ) -> None:
        """Read back the traces that a chunk needs.

        1. Wait until the chunks that last wrote these traces are acknowledged. 2. Wait until the
        store has their rows. 3. Query it.

        Raises:
            StoreAwayError: like ``_attempt``.
        """
        if may_defer and self._deferral.is_store_away:
            raise StoreAwayError(needs.traces)
        metrics.READ_BACK.inc(len(needs.traces))
        with metrics.READ_BACK_S.time():
            # A chunk whose attempt failed was not begun and wrote nothing.
            last = min(fold.cache.last_chunk_of(needs.traces), writer.begun)
            ends = await writer.written(last)
            self._waits_for = THE_STORE
            try:
                async with asyncio.timeout(self._settings.store_wait_max_s if may_defer else None):
                    await self._history.stored(self._partition, ends)
                    histories = await self._history.read_back(needs)
                fold.load(histories, needs)
                self._deferral.is_store_away = False
            except TimeoutError:
                metrics.LIMIT_REACHED.labels("store_wait_max_s").inc()
                if not await self._history.is_store_up():
                    self._deferral.is_store_away = True
                raise StoreAwayError(needs.traces) from None
            finally:
                self._waits_for = ""
