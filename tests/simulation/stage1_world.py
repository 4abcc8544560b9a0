"""Simulates stage 1: topics in memory, a slow broker, a lagging sink, and workers that crash.

From ``PartitionStage`` inwards the code is that of production; only Kafka and ClickHouse are
simulated.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random

import msgspec

from clickhouse.rows import DeadLetterRow, ObservationRow, ScoreRow, TraceRow
from clickhouse.trace_deletion_rows import TraceDeletionRow
from producers.kafka.topics import Topics
from streams.core.observations.deferral import DeferredRecord
from streams.core.observations.fold import Needs
from streams.core.observations.seen import trace_hash
from streams.core.observations.trace_cache import TraceHistory
from streams.core.observations.trace_log import (
    LoggedTraces,
    LogRecord,
    hashes_of_rows,
    logged_traces,
)
from streams.core.pricing.price_book import Priced
from streams.core.pricing.valuation import NoTokens
from streams.core.rollups.deltas import Delta
from streams.observations.partition import PartitionStage
from streams.observations.ports import Ends, Headers, Restored
from streams.observations.settings import StreamsSettings
from streams.observations.tail import Tail, restored_of
from streams.runtime.partition_worker import SourceMessage
from tests.simulation.stage1_oracle import RATES, SAVED_PER_CACHED

PARTITION = 0
PROJECT_PARTITIONS = 2
TOPICS = Topics("sim")
DAY_US = 86_400_000_000
MINUTE_US = 60_000_000

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """A record as the consumer returns it."""

    value: bytes
    headers: Headers
    timestamp: int


class FlatPrices:
    """One price per model for all units."""

    def provider_of(self, model):
        return f"maker of {model}"

    def cost_of(self, project_id, model, usage, at_us, parameters="", served_tier=""):
        rate = RATES.get(model)
        if rate is None:
            return Priced({}, 0, "", has_price=False)
        cost = {kind: rate * count for kind, count in usage.items() if kind != "total"}
        saved = SAVED_PER_CACHED * rate * usage.get("input_cached", 0)
        return Priced(cost, sum(cost.values()), model, has_price=True, saved_pico=saved)


class World:
    """Everything that survives a worker."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.logs: dict[Place, list[Record]] = defaultdict(list)
        self.sunk: dict[Place, int] = defaultdict(int)
        self.store: dict[tuple, msgspec.Struct] = {}
        self.source: list[tuple[int, bytes]] = []
        self.acknowledged = 0
        self.lives = 0
        self.seen_traces_max = 0
        self._sink_rate = chance.choice((0.02, 0.1, 0.3))
        self._pending: dict[Place, deque[tuple[Record, asyncio.Future[int]]]] = defaultdict(deque)
        self._sunk_more = asyncio.Condition()
        self.writes_late = False
        self._late: list[dict[Place, deque[Record]]] = []
        self.trace_log_first = 0
        self.lost_rows_rate = 0.1
        """How often rows that the log of traces lacks are not there any more."""
        self.arriving: deque[tuple[int, bytes]] = deque()
        """Records that arrive while workers run."""
        self.more_to_come = False
        """Whether a worker continues when all events are processed."""
        self.restored = 0
        """Number of workers that have begun to fold."""
        self.outage_rate = 0.0
        self.store_is_up = asyncio.Event()
        self.store_is_up.set()

    # The broker.

    async def send(
        self, topic: str, partition: int, value: bytes, headers: Headers = ()
    ) -> asyncio.Future[int]:
        await self._yield()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._pending[topic, partition].append((Record(value, headers, 0), future))
        return future

    def deliver_one(self) -> None:
        waiting = [place for place, sent in self._pending.items() if sent]
        late = [(sent, place) for each in self._late for place, sent in each.items() if sent]
        if late and (not waiting or self.chance.random() < 0.3):
            sent, place = self.chance.choice(late)
            self._append_record(place, sent.popleft())
        elif waiting:
            self._append(self.chance.choice(waiting))

    def _append(self, place: Place) -> None:
        record, future = self._pending[place].popleft()
        self._append_record(place, record)
        if not future.done():
            future.set_result(len(self.logs[place]) - 1)

    def _append_record(self, place: Place, record: Record) -> None:
        self.logs[place].append(record)
        if place[0] == TOPICS.events:  # deferred events
            self.source.append((self.source[-1][0], record.value))

    def crash(self) -> None:
        """Of what was on its way some arrives and some does not; each partition keeps its order.

        With ``writes_late`` the worker was stopped and goes on later: what it had handed over then
        arrives between the records of the workers after it.
        """
        is_stopped = self.writes_late and self.chance.random() < 0.5
        late: dict[Place, deque[Record]] = {}
        for place, sent in self._pending.items():
            if is_stopped:
                late[place] = deque(record for record, _ in sent)
            else:
                for _ in range(self.chance.randrange(len(sent) + 1)):
                    self._append(place)
            sent.clear()
        self._late.append(late)

    # The sink and the store.

    async def sink_one(self) -> None:
        if not self.store_is_up.is_set():
            return
        behind = [place for place, log in self.logs.items() if self.sunk[place] < len(log)]
        if behind:
            place = self.chance.choice(behind)
            self._accept(place[0], self.logs[place][self.sunk[place]].value)
            async with self._sunk_more:
                self.sunk[place] += 1
                self._sunk_more.notify_all()

    async def sink_all(self) -> None:
        while any(self.sunk[place] < len(log) for place, log in self.logs.items()):
            await self.sink_one()

    def _accept(self, topic: str, value: bytes) -> None:
        row_type, key_of = _TABLES.get(topic, (None, None))
        if row_type is None or not value:
            return
        for line in value.split(b"\n"):
            row = msgspec.json.decode(line, type=row_type)
            key = (topic, *key_of(row))
            held = self.store.get(key)
            if held is None or row.row_version >= held.row_version:
                self.store[key] = row

    def rows(self, topic: str) -> list:
        return [row for key, row in self.store.items() if key[0] == topic and not row.is_deleted]

    # What the stage asks of it (``streams.observations.ports.History``).

    async def restore(self, partition: int) -> Restored:
        await self._yield()
        observations = self.logs[TOPICS.observations, partition]
        commits = [index for index, record in enumerate(observations) if record.headers]
        # As far back as the last commit at least.
        latest_begin = commits[-1] if commits else 0
        begin = self.chance.randint(max(0, latest_begin - 10), latest_begin)
        traces = self.logs[TOPICS.traces, partition]
        traces_begin = max(0, len(traces) - self.chance.randrange(12))
        return restored_of(
            Tail(begin, len(observations), observations[begin:]),
            Tail(traces_begin, len(traces), traces[traces_begin:]),
            TOPICS,
        )

    async def stored(self, partition: int, ends: Ends) -> None:
        async with self._sunk_more:
            await self._sunk_more.wait_for(
                lambda: (
                    self.sunk[TOPICS.observations, partition] >= ends.observations
                    and self.sunk[TOPICS.traces, partition] >= ends.traces
                )
            )

    async def is_store_up(self) -> bool:
        await self._yield()
        return self.store_is_up.is_set()

    async def source_end(self, partition: int) -> int:
        await self._yield()
        self.restored += 1
        return len(self.source)

    async def deferred(self, partition: int, begin: int) -> AsyncIterator[DeferredRecord]:
        log = self.logs[TOPICS.deferred, partition]
        for offset in range(begin, len(log)):
            await self._yield()
            yield DeferredRecord(offset, log[offset].value, log[offset].headers)

    async def logged_traces(self, partition: int) -> LoggedTraces | None:
        await self._yield()
        log = self.logs[TOPICS.trace_log, partition]
        records = [LogRecord(at, each.value, each.headers) for at, each in enumerate(log)]
        return logged_traces(records[self.trace_log_first :], self.trace_log_first)

    async def traces_between(self, partition: int, begin: int, end: int) -> array | None:
        await self._yield()
        hashes = array("Q")
        for record in self.logs[TOPICS.traces, partition][begin:end]:
            found = hashes_of_rows(record.value)
            assert found is not None
            hashes.extend(found)
        return None if self.chance.random() < self.lost_rows_rate else hashes

    async def delete_logged(self, partition: int, before: int) -> None:
        await self._yield()
        self.trace_log_first = max(self.trace_log_first, before)

    async def seen(self, partition: int) -> array:
        await self._answer()
        rows = [row for key, row in self.store.items() if key[0] == TOPICS.traces]
        hashes = {trace_hash((row.project_id, row.id)) for row in rows}
        return array("Q", sorted(hashes)[: self.seen_traces_max])

    async def trace_deletions(self, partition: int) -> list[TraceDeletionRow]:
        await self._yield()
        log = self.logs[TOPICS.trace_deletions, 0]
        return [
            msgspec.json.decode(line, type=TraceDeletionRow)
            for record in log
            for line in record.value.split(b"\n")
        ]

    async def trace_version(self) -> int:
        await self._answer()
        tables = (TOPICS.traces, TOPICS.trace_deletions)
        rows = [row for key, row in self.store.items() if key[0] in tables]
        return max((row.row_version for row in rows), default=0)

    async def read_back(self, needs: Needs) -> list[TraceHistory]:
        await self._answer()
        histories = {key: TraceHistory(key, None, []) for key in sorted(needs.traces)}
        for row in self._in_order(TOPICS.traces):
            if (row.project_id, row.id) in histories:
                histories[row.project_id, row.id].row = None if row.is_deleted else row
        for key in needs.cached:
            histories[key].row = None
        latest = {}
        for row in self._in_order(TOPICS.observations):
            latest[row.project_id, row.trace_id, row.id] = row
        for (project_id, trace_id, id_), row in latest.items():
            key = (project_id, trace_id)
            if key in histories and not row.is_deleted:
                if key in needs.cached and (key, id_) not in needs.texts:
                    continue
                if not row.merge_state and (key, id_) not in needs.texts:
                    row = msgspec.structs.replace(row, input="", output="", metadata="")  # noqa: PLW2901
                histories[key].observations.append(row)
        return [each for each in histories.values() if each.row or each.observations]

    def _in_order(self, topic: str) -> list:
        """Return all rows, the latest of each trace or observation last."""
        rows = [row for key, row in self.store.items() if key[0] == topic]
        return sorted(rows, key=lambda row: (row.row_version, -row.is_deleted))

    async def _answer(self) -> None:
        """Wait until the store answers."""
        await self._yield()
        await self.store_is_up.wait()

    async def _yield(self) -> None:
        for _ in range(self.chance.randrange(3)):
            await asyncio.sleep(0)

    # Lives.

    async def live(self, settings: StreamsSettings, steps: int | None, *, gracefully: bool) -> None:
        """Run a worker, which dies after ``steps`` steps or ends when everything is written."""
        self.lives += 1
        self.seen_traces_max = settings.seen_traces_max
        stage = PartitionStage(
            PARTITION,
            TOPICS,
            PROJECT_PARTITIONS,
            settings,
            self,
            self,
            FlatPrices(),
            NoTokens(),
        )
        # Commits reach the broker late or not at all.
        first = self.chance.randint(max(0, self.acknowledged - 5), self.acknowledged)
        working = asyncio.create_task(stage.run())
        feeding = asyncio.create_task(self._feed(stage, first))
        while steps is None or steps > 0:
            if steps is not None:
                steps -= 1
            await self._step()
            if working.done():
                working.result()
            is_done = not self.arriving and self.acknowledged == len(self.source)
            is_done = is_done and stage.is_restored and not stage._deferral.is_waiting
            if steps is None and is_done and not self.more_to_come:
                break
        feeding.cancel()
        if gracefully:
            ending = asyncio.create_task(stage.finish())
            while not ending.done():
                await self._step()
        working.cancel()
        await asyncio.gather(working, feeding, return_exceptions=True)
        self.crash()

    async def _step(self) -> None:
        await self._yield()
        draw = self.chance.random()
        # A slow broker leaves much on its way when a worker is stopped.
        delivers = 0.15 if self.writes_late else 0.6
        if draw < delivers:
            self.deliver_one()
        elif draw < delivers + self._sink_rate:
            await self.sink_one()
        if self.arriving and self.chance.random() < 0.1:
            self.source.append(self.arriving.popleft())
        if self.outage_rate and self.chance.random() < self.outage_rate:
            self.toggle_store()
        await asyncio.sleep(0)

    def toggle_store(self) -> None:
        """Begin or end an outage of the store."""
        if self.store_is_up.is_set():
            self.store_is_up.clear()
        else:
            self.store_is_up.set()

    async def _feed(self, stage: PartitionStage, first: int) -> None:
        offset = first
        while True:
            if offset < len(self.source):
                append_us, value = self.source[offset]
                await stage.put(
                    SourceMessage(offset, append_us, value, lambda o=offset: self._ack(o))
                )
                offset += 1
            await self._yield()
            await asyncio.sleep(0)

    def _ack(self, offset: int) -> None:
        self.acknowledged = max(self.acknowledged, offset + 1)

    def dead_letters(self) -> list[DeadLetterRow]:
        return [
            msgspec.json.decode(line, type=DeadLetterRow)
            for record in self.logs[TOPICS.dead_letters, 0]
            for line in record.value.split(b"\n")
        ]

    def deltas(self) -> list[list[Delta]]:
        """What is in the deltas topic, record by record, partition after partition."""
        return [
            [msgspec.json.decode(line, type=Delta) for line in record.value.split(b"\n")]
            for partition in range(PROJECT_PARTITIONS)
            for record in self.logs[TOPICS.deltas, partition]
        ]


_TABLES = {
    TOPICS.observations: (
        ObservationRow,
        lambda row: (row.project_id, row.start_us // MINUTE_US, row.trace_id, row.id),
    ),
    TOPICS.traces: (TraceRow, lambda row: (row.project_id, row.start_us // DAY_US, row.id)),
    TOPICS.trace_deletions: (TraceDeletionRow, lambda row: (row.project_id, row.trace_id)),
    TOPICS.scores: (ScoreRow, lambda row: (row.project_id, row.id)),
}
