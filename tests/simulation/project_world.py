"""A world for the fold of a project partition: a log that repeats itself, a store that lags behind, and a worker that dies between any two effects.

Everything random comes from one seeded generator, so a failing seed replays.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import msgspec

from clickhouse.rows import DeadLetterRow, SpendRow, WindowRow
from streams.core.alerts import Crossing
from streams.core.budget_rules import BudgetRule, matches
from streams.core.budgets import Baseline, Budgets
from streams.core.delta_record import (
    dead_letter_of_delta,
    dead_letter_of_line,
    read_deltas,
)
from streams.core.deltas import Delta, SpendDelta, WindowDelta
from streams.core.project_fold import (
    Marker,
    Missing,
    ProjectFold,
    first_marker,
    with_rows_beyond,
)
from streams.core.set_aside import Source
from streams.core.sketch import bins_of

NOW_S = 1_780_000_000 // 86_400 * 86_400 + 43_000
NOW_US = NOW_S * 1_000_000
PROJECTS = ("p1", "p2")
USERS = ("u1", "u2", "")
MODELS = ("m1", "m2")
POISON = "poison"
GARBAGE = (
    b"[",
    b"\xff",
    b"[" * 9_000,
    b'["p1",0,-1,[],[]]',
    b'["p1",0,1,[[0,"","","",9e99,0,0,{},{}]],[]]',
)
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")


class Crash(Exception):
    """The worker is gone; what it had in memory is lost."""


@dataclass
class World:
    """What outlives a worker: the log, the topics, the store."""

    rng: random.Random
    crash_rate: float = 0.0
    log: list[bytes] = field(default_factory=list)
    windows_topic: list[tuple[list[bytes], tuple[Marker, int] | None]] = field(default_factory=list)
    """Lines; the last record of a flush has its marker, and where the flush ends in spend."""
    spend_topic: list[list[bytes]] = field(default_factory=list)
    alerts: list[Crossing] = field(default_factory=list)
    dead_letters: dict[str, DeadLetterRow] = field(default_factory=dict)
    stored_windows: dict[tuple, WindowRow] = field(default_factory=dict)
    stored_spend: dict[tuple, SpendRow] = field(default_factory=dict)
    windows_sunk_to: int = 0
    spend_sunk_to: int = 0
    crashes: int = 0
    logs: int = 0

    def lose_the_log(self) -> None:
        """A new broker for the old store."""
        self.sink_all()
        self.log.clear()
        self.windows_topic.clear()
        self.spend_topic.clear()
        self.windows_sunk_to = self.spend_sunk_to = 0

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
                key = (spent.project_id, spent.bucket_s, *_cell(spent))
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

    def start_marker(self) -> Marker:
        """The last marker there is, and what was written after it; a new log's first one is written."""
        if not any(found for _, found in self.windows_topic):
            self.logs += 1
            marker = first_marker(
                self.logs << 20,
                max((row.window_s for row in self.stored_windows.values()), default=0),
                max((row.bucket_s for row in self.stored_spend.values()), default=0),
            )
            self.effect()
            self.windows_topic.append(([], (marker, len(self.spend_topic))))
            self.effect()
        for offset, (_, found) in enumerate(self.windows_topic):
            if found is not None:
                (marker, spend_to), windows_to = found, offset + 1
        windows = [line for lines, _ in self.windows_topic[windows_to:] for line in lines]
        spend = [line for lines in self.spend_topic[spend_to:] for line in lines]
        return with_rows_beyond(
            marker,
            [msgspec.json.decode(line, type=WindowRow).window_s for line in windows],
            [msgspec.json.decode(line, type=SpendRow).bucket_s for line in spend],
        )


class Worker:
    """The shell's order of effects around the fold, without its I/O."""

    def __init__(self, world: World, budgets: list[BudgetRule]) -> None:
        self.world = world
        world.sink_all()  # a restart waits until the store has what was written
        marker = world.start_marker()
        alerted = {crossing.id for crossing in world.alerts}
        book = Budgets(alerted=alerted, periods_max=world.rng.choice([1, 3, 1000]))
        self.fold = ProjectFold(marker, book, lateness_s=86_400)
        for budget in budgets:
            book.put(budget, NOW_US)
        book.resume(marker.unsettled)
        self.open: list[Baseline] = []
        self.next_offset = marker.input_offset + 1

    def read_one(self) -> bool:
        if self.next_offset >= len(self.world.log):
            return False
        budgets = self.fold.budgets
        while budgets.is_full:
            self.ask()
            self.answer()
        held = len(budgets)
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
        # Above its limit it holds what is not evaluated yet, and that is of this record.
        assert len(budgets) <= max(budgets.periods_max, held, len(budgets.unsettled))
        self.alert(applied.crossings)
        return True

    def set_aside(self, rows: list[DeadLetterRow]) -> None:
        for row in rows:
            self.world.effect()
            self.world.dead_letters[row.id] = row
            self.world.effect()

    def read_back(self, missing: Missing) -> None:
        self.fold.adopt(
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

    def alert(self, crossings: list[Crossing]) -> None:
        for crossing in crossings:
            self.world.effect()
            self.world.alerts.append(crossing)
            self.world.effect()

    def flush(self) -> None:
        """Spend, windows, marker; each may be the last thing this worker did."""
        flush = self.fold.flush()
        self.world.effect()
        self.world.spend_topic.append(flush.spend)
        self.world.effect()
        half = len(flush.windows) // 2
        self.world.windows_topic.append((flush.windows[:half], None))
        self.world.effect()
        end = (flush.marker, len(self.world.spend_topic))
        self.world.windows_topic.append((flush.windows[half:], end))
        self.world.effect()
        self.fold.written(
            spend_to=len(self.world.spend_topic), windows_to=len(self.world.windows_topic)
        )

    def ask(self) -> None:
        if not self.open:
            self.open = self.fold.budgets.begin(self.fold.spend, limit=4)

    def answer(self) -> None:
        """The store's answer, as of now, to what was asked before."""
        self.world.effect()
        for baseline in self.open:
            stored = sum(
                row.total_cost_pico
                for row in self.world.stored_spend.values()
                if row.project_id == baseline.budget.project_id
                and baseline.start_s <= row.bucket_s < baseline.end_s
                and row.bucket_s not in baseline.resident
                and matches(baseline.budget.scope_key, _cell(row))
            )
            arrivals = self.fold.spend.arrivals
            self.alert(self.fold.budgets.settle(baseline, stored, arrivals) or [])
        self.open = []

    def evict(self) -> None:
        rng = self.world.rng
        for groups, sunk_to in (
            (self.fold.windows, self.world.windows_sunk_to),
            (self.fold.spend, self.world.spend_sunk_to),
        ):
            groups.evict(sunk_to, cells_max=rng.choice([0, 5]), idle_before_s=0)

    def finish(self) -> None:
        """Everything is read, settled and written."""
        while self.read_one():
            pass
        while self.fold.budgets.unsettled:
            self.ask()
            self.answer()
        self.flush()
        self.world.sink_all()


def raises(delta: Delta) -> bool:
    return any(window.name == POISON for window in delta.windows) or any(
        change.trace_id == POISON for change in delta.spend
    )


@dataclass
class Stage1:
    """Stage 1 as seen from here: deltas per source record, sent in chunks that may be sent again."""

    rng: random.Random
    corrections: bool
    poison: float = 0.0
    """The share of deltas, and of records, that hold what raises."""
    partitions: tuple[int, ...] = (0, 1)
    records: dict[int, list[list[Delta]]] = field(default_factory=lambda: defaultdict(list))

    def write(self, world: World, count: int) -> None:
        """Append ``count`` source records to the log, repeating some chunks cut otherwise."""
        sent = dict.fromkeys(self.partitions, 0)
        for partition in self.partitions:
            self.records[partition] = [self._record(partition, n) for n in range(count)]
        while any(sent[p] < count for p in self.partitions):
            partition = self.rng.choice([p for p in self.partitions if sent[p] < count])
            begin = max(0, sent[partition] - self.rng.choice([0, 0, 0, 3]))
            end = min(count, sent[partition] + self.rng.randint(1, 4))
            deltas = [delta for record in self.records[partition][begin:end] for delta in record]
            cut = self.rng.randint(0, len(deltas))  # a record that is too long is cut anywhere
            for part in (deltas[:cut], deltas[cut:]):
                lines = [msgspec.json.encode(delta) for delta in part]
                if self._is_poisoned():
                    lines.insert(self.rng.randint(0, len(lines)), self.rng.choice(GARBAGE))
                world.log.append(b"\n".join(lines))
            sent[partition] = end

    def _record(self, partition: int, offset: int) -> list[Delta]:
        projects = self.rng.sample(PROJECTS, self.rng.randint(0, len(PROJECTS)))
        deltas = [
            Delta(
                project,
                partition,
                offset,
                [self._window() for _ in range(self.rng.randint(0, 3))],
                [self._spend(f"t{partition}-{offset}") for _ in range(self.rng.randint(0, 3))],
            )
            for project in projects
        ]
        for delta in deltas:
            if self._is_poisoned():
                if self.rng.random() < 0.5:
                    delta.windows.append(msgspec.structs.replace(self._window(), name=POISON))
                else:
                    delta.spend.append(msgspec.structs.replace(self._spend("t"), trace_id=POISON))
        return deltas

    def _is_poisoned(self) -> bool:
        return self.poison > 0 and self.rng.random() < self.poison

    def poisoned(self) -> list[Delta]:
        """The deltas that raise."""
        return [
            delta
            for records in self.records.values()
            for r in records
            for delta in r
            if raises(delta)
        ]

    def _window(self) -> WindowDelta:
        minute = NOW_S // 60 * 60 - 60 * self.rng.randint(0, 3)
        return WindowDelta(
            minute,
            "prod",
            self.rng.choice(MODELS),
            "name",
            self.rng.choice([1, 2]),
            self.rng.choice([0, 1]),
            self.rng.randint(0, 50),
            {"input": self.rng.randint(0, 9)},
            {self.rng.randint(0, 5): 1},
        )

    def _spend(self, trace_id: str) -> SpendDelta:
        bucket_s = NOW_S // 900 * 900 - 900 * self.rng.choice([0, 0, 1, 40, 60, 100])
        lowest = -30 if self.corrections else 0
        user, model = self.rng.choice(USERS), self.rng.choice(MODELS)
        return SpendDelta(bucket_s, user, model, "prod", self.rng.randint(lowest, 40), trace_id)

    def totals(self) -> tuple[dict[tuple, tuple], dict[tuple, int]]:
        """What every window and every spend cell must hold: each source record once."""
        windows: dict[tuple, list] = defaultdict(lambda: [0, 0, 0, Counter(), Counter()])
        spend: Counter[tuple] = Counter()
        for delta in (d for records in self.records.values() for r in records for d in r):
            if raises(delta):
                continue
            for w in delta.windows:
                total = windows[delta.project_id, w.window_s, w.environment, w.model, w.name]
                total[0] += w.observations
                total[1] += w.errors
                total[2] += w.cost_pico
                total[3].update(w.usage)
                total[4].update(w.latency_bins)
            for s in delta.spend:
                spend[delta.project_id, s.bucket_s, *_cell(s)] += s.cost_pico
        exact = {
            key: (t[0], t[1], t[2], {k: n for k, n in t[3].items() if n}, dict(t[4]))
            for key, t in windows.items()
        }
        return exact, dict(spend)


def stored_totals(world: World) -> tuple[dict[tuple, tuple], dict[tuple, int]]:
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
    return windows, {key: row.total_cost_pico for key, row in world.stored_spend.items()}


def random_budgets(rng: random.Random) -> list[BudgetRule]:
    scopes = [{}, {"user_id": "u1"}, {"model": "m1"}, {"user_id": "u2", "environment": "prod"}]
    return [
        BudgetRule(
            id=f"b{number}",
            project_id=rng.choice(PROJECTS),
            name="n",
            scope=rng.choice(scopes),
            period=rng.choice(["day", "month"]),
            time_zone=rng.choice(ZONES),
            limit_pico=rng.randint(1, 2_000),
            thresholds=("0.5", "0.8", "1.0"),
            created_us=NOW_US - rng.choice([0, 2 * 86_400_000_000]),
        )
        for number in range(rng.randint(0, 5))
    ]


def spent_by_period(
    budgets: list[BudgetRule], spend: dict[tuple, int]
) -> dict[tuple[str, int], int]:
    """Spend of every budget and period that any cell falls into."""
    totals: Counter[tuple[str, int]] = Counter()
    for (project, bucket_s, *cell), cost_pico in spend.items():
        for budget in budgets:
            if budget.project_id == project and matches(budget.scope_key, tuple(cell)):
                totals[budget.id, budget.period_of(bucket_s)[0]] += cost_pico
    return dict(totals)


def _cell(row: SpendRow | SpendDelta) -> tuple[str, str, str]:
    return row.user_id, row.model, row.environment
