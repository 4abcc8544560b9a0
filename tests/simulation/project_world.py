"""Simulates a project partition: a log with repeats, a lagging store, and workers that crash.

Everything random comes from one seeded generator, so a failing seed can be replayed.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clickhouse.rows import DeadLetterRow, SpendRow, WindowRow
from streams.core.dead_letters.set_aside import Source
from streams.core.dimensions.keys import spend_key_of_row
from streams.core.rollups.checkpoint_choice import index_of_latest
from streams.core.rollups.delta_record import (
    dead_letter_of_delta,
    dead_letter_of_line,
    read_deltas,
)
from streams.core.rollups.fold import (
    Checkpoint,
    Missing,
    ProjectFold,
    first_checkpoint,
    with_rows_beyond,
)
from streams.core.rollups.sketch import bins_of
from tests.simulation.project_load import NOW_S, NOW_US


class Crash(Exception):
    """Ends the worker; its memory is lost."""


@dataclass
class World:
    """Everything that survives a worker: the log, the topics, the store."""

    rng: random.Random
    crash_rate: float = 0.0
    log: list[bytes] = field(default_factory=list)
    windows_topic: list[tuple[list[bytes], tuple[Checkpoint, int] | None]] = field(
        default_factory=list
    )
    """Lines; the last record of a flush has its checkpoint, and where the flush ends in spend."""
    spend_topic: list[list[bytes]] = field(default_factory=list)
    dead_letters: dict[str, DeadLetterRow] = field(default_factory=dict)
    stored_windows: dict[tuple, WindowRow] = field(default_factory=dict)
    stored_spend: dict[tuple, SpendRow] = field(default_factory=dict)
    windows_sunk_to: int = 0
    spend_sunk_to: int = 0
    crashes: int = 0
    writes_late: bool = False
    """Whether workers are suspended: their records in flight arrive later, between others."""
    late: list[deque[tuple[list[Any], Any]]] = field(default_factory=list)
    logs: int = 0

    def lose_the_log(self) -> None:
        """Replace the log by a new one and keep the store."""
        self.sink_all()
        self.log.clear()
        self.windows_topic.clear()
        self.spend_topic.clear()
        self.late.clear()
        self.windows_sunk_to = self.spend_sunk_to = 0

    def write(self, topic: list[Any], *records: Any) -> None:
        """Append records that are in flight together; the worker may die or be suspended."""
        self.effect()
        if self.writes_late and self.rng.random() < self.crash_rate:
            arrived = self.rng.randint(0, len(records))
            topic.extend(records[:arrived])
            self.late.append(deque((topic, record) for record in records[arrived:]))
            self.crashes += 1
            raise Crash
        topic.extend(records)
        self.effect()

    def deliver_late(self) -> None:
        """Append one record of a stopped worker; those of each keep their order."""
        waiting = [each for each in self.late if each]
        if waiting:
            topic, record = self.rng.choice(waiting).popleft()
            topic.append(record)

    def effect(self) -> None:
        """A moment at which the worker may die."""
        if self.rng.random() < self.crash_rate:
            self.crashes += 1
            raise Crash

    def sink(self, windows_to: int, spend_to: int) -> None:
        """The store accepts rows up to these offsets; the highest version of a key wins."""
        for lines, _ in self.windows_topic[self.windows_sunk_to : windows_to]:
            for line in lines:
                row = msgspec.json.decode(line, type=WindowRow)
                key = (row.project_id, row.window_s, row.environment, row.model, row.name)
                if key not in self.stored_windows or (
                    row.row_version >= self.stored_windows[key].row_version
                ):
                    self.stored_windows[key] = row
        for lines in self.spend_topic[self.spend_sunk_to : spend_to]:
            for line in lines:
                spent = msgspec.json.decode(line, type=SpendRow)
                key = (spent.project_id, spent.bucket_s, *spend_key_of_row(spent))
                if key not in self.stored_spend or (
                    spent.row_version >= self.stored_spend[key].row_version
                ):
                    self.stored_spend[key] = spent
        self.windows_sunk_to = max(self.windows_sunk_to, windows_to)
        self.spend_sunk_to = max(self.spend_sunk_to, spend_to)

    def sink_some(self) -> None:
        self.sink(
            self.rng.randint(self.windows_sunk_to, len(self.windows_topic)),
            self.rng.randint(self.spend_sunk_to, len(self.spend_topic)),
        )

    def sink_all(self) -> None:
        self.sink(len(self.windows_topic), len(self.spend_topic))

    def start_checkpoint(self) -> Checkpoint:
        """Return the valid checkpoint and later rows; write the first checkpoint of a new log."""
        if not any(found for _, found in self.windows_topic):
            self.logs += 1
            checkpoint = first_checkpoint(
                self.logs << 20,
                max((row.window_s for row in self.stored_windows.values()), default=0),
                max((row.bucket_s for row in self.stored_spend.values()), default=0),
            )
            self.write(self.windows_topic, ([], (checkpoint, len(self.spend_topic))))
        checkpoints = [
            (*found, offset + 1)
            for offset, (_, found) in enumerate(self.windows_topic)
            if found is not None
        ]
        latest = index_of_latest([checkpoint for checkpoint, _, _ in checkpoints])
        checkpoint, spend_to, windows_to = checkpoints[latest]
        windows = [line for lines, _ in self.windows_topic[windows_to:] for line in lines]
        spend = [line for lines in self.spend_topic[spend_to:] for line in lines]
        return with_rows_beyond(
            checkpoint,
            [msgspec.json.decode(line, type=WindowRow).window_s for line in windows],
            [msgspec.json.decode(line, type=SpendRow).bucket_s for line in spend],
        )


class Worker:
    """Performs the effects of the stage around the fold in their order, without I/O."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.sink_all()  # a restart waits until the store has what was written
        checkpoint = world.start_checkpoint()
        self.fold = ProjectFold(checkpoint, lateness_s=86_400)
        self.next_offset = checkpoint.input_offset + 1

    def read_one(self) -> bool:
        if self.next_offset >= len(self.world.log):
            return False
        record = read_deltas(self.world.log[self.next_offset])
        deltas = record.deltas
        while missing := self.fold.missing(deltas):
            self.world.effect()
            self.read_back(missing)
            if self.world.rng.random() < 0.5:
                self.evict()
        applied = self.fold.apply(self.next_offset, deltas, NOW_S)
        source = Source("deltas", 0, self.next_offset, NOW_US)
        self.set_aside(
            [dead_letter_of_line(failed, source, 2**20) for failed in record.failed]
            + [dead_letter_of_delta(failed, source, 2**20) for failed in applied.failed]
        )
        self.next_offset += 1
        return True

    def set_aside(self, rows: list[DeadLetterRow]) -> None:
        for row in rows:
            self.world.effect()
            self.world.dead_letters[row.id] = row
            self.world.effect()

    def read_back(self, missing: Missing) -> None:
        self.fold.load(
            missing,
            [
                r
                for r in self.world.stored_windows.values()
                if (r.project_id, r.window_s) in missing.windows
            ],
            [
                r
                for r in self.world.stored_spend.values()
                if (r.project_id, r.bucket_s) in missing.spend
            ],
        )

    def flush(self) -> None:
        """Spend, windows, checkpoint; each may be the last thing this worker did."""
        flush, world = self.fold.flush(), self.world
        half = len(flush.spend) // 2
        world.write(world.spend_topic, flush.spend[:half], flush.spend[half:])
        end = (flush.checkpoint, len(world.spend_topic))
        half = len(flush.windows) // 2
        world.write(world.windows_topic, (flush.windows[:half], None))
        world.write(world.windows_topic, (flush.windows[half:], end))
        self.fold.written(
            spend_to=len(self.world.spend_topic), windows_to=len(self.world.windows_topic)
        )

    def evict(self) -> None:
        rng = self.world.rng
        for groups, sunk_to in (
            (self.fold.windows, self.world.windows_sunk_to),
            (self.fold.spend, self.world.spend_sunk_to),
        ):
            groups.evict(sunk_to, cells_max=rng.choice([0, 5]), idle_before_s=0)

    def finish(self) -> None:
        """Everything is read and written."""
        while self.read_one():
            pass
        self.flush()
        self.world.sink_all()


def stored_totals(world: World) -> tuple[dict[tuple, tuple], dict[tuple, tuple]]:
    windows = {
        key: (
            row.observation_count,
            row.error_count,
            row.total_cost_pico,
            dict(row.usage),
            bins_of(bytes.fromhex(row.latency_state_hex)),
        )
        for key, row in world.stored_windows.items()
    }
    spend = {
        key: (
            row.total_cost_pico,
            row.observation_count,
            row.error_count,
            row.input_tokens,
            row.output_tokens,
            row.total_tokens,
            row.unpriced_count,
        )
        for key, row in world.stored_spend.items()
    }
    return windows, spend
