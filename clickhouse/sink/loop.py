"""Run the sink's loop: fetch, buffer per table, insert, commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from clickhouse.errors import StoreError
from clickhouse.feed import Feed, RowOf
from clickhouse.feeds import FEEDS
from clickhouse.sink import metrics, old_days
from clickhouse.sink.batches import Batch, Pace
from clickhouse.sink.commits import Commits
from clickhouse.sink.dead_letters import DeadLetters
from clickhouse.sink.deleted_projects import NONE_DELETED, Deleted, ProjectFilter
from clickhouse.sink.isolation import IsolatingInserts
from clickhouse.sink.lag import Lag
from clickhouse.sink.positions import PositionWriter
from clickhouse.sink.record_rows import Rows, RowsOf, value_rows
from clickhouse.sink.recurring import Recurring
from clickhouse.sink.refusals import RefusalGuard, Refused
from clickhouse.sink.settings import SinkSettings
from clickhouse.store import Store
from producers.control.secret_box import SecretBox
from producers.settings import KafkaSettings

log = structlog.get_logger(__name__)

POLL_S: Final = 0.05
LAG_INTERVAL_S: Final = 1.0


class Sink(ConsumerRebalanceListener):  # type: ignore[misc]
    """Inserts the rows of each feed's topic into the feed's table.

    At most one batch of fresh rows and one of old rows are inserted per table at a time.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        store: Store,
        kafka: KafkaSettings,
        settings: SinkSettings,
        admin: AIOKafkaAdminClient | None = None,
        secrets: SecretBox | None = None,
        feeds: Sequence[Feed] = FEEDS,
        deleted: Deleted = NONE_DELETED,
    ) -> None:
        self._consumer = consumer
        self._dead_letters = DeadLetters(producer, kafka)
        self._inserts = IsolatingInserts(store, settings, feeds)
        self._settings = settings
        self.table_of = {feed.topic_in(kafka.topics): feed.table for feed in feeds}
        self._filters = {feed.table: ProjectFilter(feed, deleted) for feed in feeds}
        self._rows_of = {
            feed.topic_in(kafka.topics): self._filters[feed.table].rows_of(
                value_rows if feed.row_of is None else converted_rows(feed.row_of, secrets)
            )
            for feed in feeds
        }
        tables = tuple(self.table_of.values())
        self._by_day = frozenset(feed.table for feed in feeds if feed.is_by_day)
        # The keys are queues: a table, for its fresh rows, or ``queue_of`` the table, for old ones.
        self._filling = {
            queue: Batch() for queue in (*tables, *map(old_days.queue_of, sorted(self._by_day)))
        }
        self._partition_keys = old_days.PartitionKeys(store)
        self._stored: dict[TopicPartition, int] = {}
        self._writing: dict[str, asyncio.Task[None]] = {}
        self._pace = Pace(settings, feeds)
        self._guards = {table: RefusalGuard(table, settings) for table in self.table_of.values()}
        self._fetch_again_at_s = 0.0
        self._in_flight: dict[str, Batch] = {}
        self._commits = Commits(consumer)
        self._committing = Recurring(self._commits.commit, settings.commit_interval_s)
        self.lag = Lag(
            consumer,
            tables,
            self._unstored,
            lambda table: not {table, old_days.queue_of(table)}.isdisjoint(self._in_flight),
            self.table_of,
            settings.fetch_wait_max_s,
        )
        self._reporting = Recurring(self._report, LAG_INTERVAL_S)
        self._positions: PositionWriter | None = None
        self._writing_positions: Recurring | None = None
        if admin is not None:
            self._positions = PositionWriter(
                consumer,
                admin,
                store,
                kafka,
                self.lag.stored_up_to,
                timeout_s=settings.fetch_wait_max_s,
            )
            self._writing_positions = Recurring(
                self._positions.write, settings.positions_interval_s
            )

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set; then write and commit buffered rows within ``stop_timeout_s``.

        Raises:
            TooManyRefusals: the store refused most rows of a table.
        """
        self._consumer.subscribe(topics=sorted(self.table_of), listener=self)
        try:
            while not stop.is_set():
                self._pause_or_resume()
                await self._fetch()
                self._start_due_writes()
                if self._commits.has_pending:
                    self._committing.start_if_due()
                self._reporting.start_if_due()
                if self._writing_positions is not None:
                    self._writing_positions.start_if_due()
                self._raise_failures()
        finally:
            self._committing.cancel()
            self._reporting.cancel()
            if self._writing_positions is not None:
                self._writing_positions.cancel()
        try:
            async with asyncio.timeout(self._settings.stop_timeout_s):
                await self._drain()
                if self._positions is not None:
                    await self._positions.write(is_last=True)
        except TimeoutError:
            metrics.LIMIT_REACHED.labels("stop_timeout_s").inc()
            log.warning("stopped_with_rows_unwritten", detail="they will be read again")

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and commit running inserts; drop buffered rows, which are read again."""
        gone = set(revoked)
        if self._writing:
            _, late = await asyncio.wait(
                self._writing.values(), timeout=self._settings.stop_timeout_s
            )
            if late:
                metrics.LIMIT_REACHED.labels("stop_timeout_s").inc()
        await self._commits.commit()
        self._commits.forget(gone)
        for partition in gone:
            self._stored.pop(partition, None)
        for batch in self._in_flight.values():
            batch.release(gone)
        for table, batch in self._filling.items():
            if not batch.has_none_of(gone):
                self._filling[table] = Batch()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        log.info("sink_assigned", partitions=len(list(assigned)))

    async def _fetch(self) -> None:
        """Fetch records, at most every ``Pace.fetch_interval_s``."""
        pause_s = self._fetch_again_at_s - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(min(pause_s, self._next_due_s()))
            return
        fetched: dict[TopicPartition, list[ConsumerRecord]] = await self._consumer.getmany(
            timeout_ms=int(self._next_due_s() * 1000)
        )
        now_s = time.monotonic()
        fetched_bytes = 0
        for partition, records in fetched.items():
            fetched_bytes += self._buffer(partition, records, now_s)
        self._pace.fetched(fetched_bytes, now_s)
        if fetched:
            metrics.FETCHES.inc()
            self._fetch_again_at_s = now_s + self._pace.fetch_interval_s

    def _buffer(
        self, partition: TopicPartition, records: list[ConsumerRecord], now_s: float
    ) -> int:
        """Buffer the rows of ``records``, old ones separately; return the number of bytes."""
        table = self.table_of[partition.topic]
        batch = self._filling[table]
        if table not in self._by_day:
            rows, rows_of = batch.rows, self._rows_of[partition.topic]
            added = batch.add(records, partition, now_s, rows_of)
            metrics.ROWS_READ.labels(table).inc(batch.rows - rows)
            return added
        oldest_us = int((time.time() - self._settings.old_rows_age_h * 3600) * 1_000_000)
        old_rows: dict[int, Rows] = {}
        old_records = []

        projects = self._filters[table]

        def fresh_rows(record: ConsumerRecord) -> Rows:
            value = projects.filtered(record.value or b"")
            fresh, old = old_days.split_by_age(value, oldest_us)
            if old.lines:
                old_rows[record.offset] = old
                old_records.append(record)
            return fresh

        old_batch = self._filling[old_days.queue_of(table)]
        rows = batch.rows + old_batch.rows
        added = batch.add(records, partition, now_s, fresh_rows)
        added += old_batch.add(old_records, partition, now_s, lambda each: old_rows[each.offset])
        metrics.ROWS_READ.labels(table).inc(batch.rows + old_batch.rows - rows)
        return added

    def _next_due_s(self) -> float:
        now_s = time.monotonic()
        due = [
            self._pace.due_in_s(table, batch, now_s)
            for table, batch in self._filling.items()
            if batch.next_offsets and table not in self._writing
        ]
        return max(0.0, min([*due, POLL_S]))

    def _start_due_writes(self) -> None:
        now_s = time.monotonic()
        for table, batch in self._filling.items():
            idle = table not in self._writing
            if idle and batch.next_offsets and self._pace.due_in_s(table, batch, now_s) <= 0:
                self._start_write(table)

    def _start_write(self, table: str) -> None:
        batch, self._filling[table] = self._filling[table], Batch()
        if batch.size_bytes >= self._settings.batch_bytes_max:
            metrics.LIMIT_REACHED.labels("batch_bytes_max").inc()
        elif self._pace.interval_s(table) >= self._settings.flush_interval_max_s:
            metrics.LIMIT_REACHED.labels("flush_interval_max_s").inc()
        self._in_flight[table] = batch
        self._writing[table] = asyncio.create_task(self._write(table, batch))

    async def _write(self, queue: str, batch: Batch) -> None:
        """Insert a batch, write dead letters for refused rows, and add the offsets to commit."""
        table = old_days.table_of(queue)
        if queue == table:
            await self._store_rows(table, batch)
        else:
            await self._store_old_rows(table, batch)
        # After a failure, the batch stays in flight, so that no later offsets are committed.
        self._in_flight.pop(queue, None)
        self._add_commits(table, batch)

    async def _store_rows(self, table: str, batch: Batch) -> None:
        refused: list[Refused] = []
        if batch.size_bytes:
            refused = await self._inserts.insert(table, batch.values)
            metrics.ROWS_WRITTEN.labels(table).inc(batch.rows - len(refused))
            metrics.BYTES_WRITTEN.labels(table).inc(batch.size_bytes)
            metrics.BATCHES.labels(table).inc()
            metrics.BATCH_BYTES.labels(table).observe(batch.size_bytes)
        await self._write_dead_letters(table, batch, refused)

    async def _store_old_rows(self, table: str, batch: Batch) -> None:
        """Insert rows of a few ClickHouse partitions at a time, with pauses for fresh rows."""
        with suppress(StoreError):
            # If this fails, each part is limited to a number of days instead of partitions.
            await self._partition_keys.load(table)
        partition_of = partial(self._partition_keys.of, table)
        parts = batch.in_parts(partition_of, self._settings.old_rows_partitions_max)
        for part in parts:
            started_s = time.monotonic()
            await self._store_rows(table, part)
            if part is not parts[-1]:
                metrics.LIMIT_REACHED.labels("old_rows_partitions_max").inc()
                await asyncio.sleep(time.monotonic() - started_s)

    def _add_commits(self, table: str, batch: Batch) -> None:
        """Add the offsets to commit: those before which all rows are stored.

        Fresh and old rows of a record are in different batches, so rows before the end of ``batch``
        may still be unstored.
        """
        offsets = {}
        for partition, offset in batch.next_offsets.items():
            stored = self._stored[partition] = max(self._stored.get(partition, 0), offset)
            unstored = (
                other.first_offsets[partition]
                for other in self._unstored(table)
                if partition in other.next_offsets
            )
            offsets[partition] = min([stored, *unstored])
        self._commits.add(offsets)

    async def _report(self) -> None:
        await self.lag.report()
        await self._commit_ends_of_transactions()

    async def _commit_ends_of_transactions(self) -> None:
        """Commit offsets beyond the last record: the marker that ends a transaction also has one.

        Otherwise, a log whose last record was written in a transaction would seem to have a record
        that is never processed, and the installation would not be ready.
        """
        for partition in self._consumer.assignment():
            with suppress(KafkaError):  # the partition was just revoked
                offset = await self.lag.stored_up_to(partition)
                if offset > self._stored.get(partition, 0):
                    self._stored[partition] = offset
                    self._commits.add({partition: offset})

    async def _write_dead_letters(self, table: str, batch: Batch, refused: list[Refused]) -> None:
        """Write dead letters for the rows of a batch that could not be stored."""
        count = len(refused) + len(batch.unreadable)
        reasons = [*refused, *(record for record, _ in batch.unreadable)]
        self._guards[table].observe(
            batch.rows - len(refused), count, reasons[-1].reason if reasons else ""
        )
        if count:
            metrics.REFUSED_ROWS.labels(table).inc(count)
            await self._dead_letters.send(table, [*batch.with_sources(refused), *batch.unreadable])

    def _pause_or_resume(self) -> None:
        """Pause fetching while the buffer is full, without leaving the consumer group."""
        full = self._buffered_bytes() >= self._settings.buffer_bytes_max
        mine, paused = self._consumer.assignment(), self._consumer.paused()
        if full and mine - paused:
            metrics.LIMIT_REACHED.labels("buffer_bytes_max").inc()
            self._consumer.pause(*(mine - paused))
        elif paused and not full:
            self._consumer.resume(*paused)

    async def _drain(self) -> None:
        await asyncio.gather(*self._writing.values())
        for table, batch in self._filling.items():
            if batch.next_offsets:
                await self._write(table, batch)
        await self._commits.commit()

    def _raise_failures(self) -> None:
        for table in [table for table, task in self._writing.items() if task.done()]:
            self._writing.pop(table).result()

    def _buffered_bytes(self) -> int:
        batches = [*self._in_flight.values(), *self._filling.values()]
        return sum(batch.size_bytes for batch in batches)

    def _unstored(self, table: str) -> list[Batch]:
        queues = (table, old_days.queue_of(table))
        batches = [of.get(queue) for of in (self._in_flight, self._filling) for queue in queues]
        return [batch for batch in batches if batch]


def converted_rows(row_of: RowOf, secrets: SecretBox | None) -> RowsOf:
    """Adapt a feed's conversion of a record to rows."""
    return lambda record: Rows.of(row_of(record, secrets))
